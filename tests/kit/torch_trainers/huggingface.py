"""A training of the Hugging Face Trainer: a tiny language model with dropout, made from nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import spot_training as spot
import torch
from kit.torch_trainers import common
from kit.torch_trainers.common import BATCH, EPOCHS, SAMPLES, State
from spot_training.integrations.huggingface import SpotCallback
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)


class Rows(torch.utils.data.Dataset[Any]):
    """Sequences that count up from a start; with `noise`, reading one draws a random number."""

    def __init__(self, *, noise: bool = False) -> None:
        self._noise = noise

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> Any:
        start = index + int(torch.randint(0, 9, ())) if self._noise else index
        row = (torch.arange(16) + start) % 64
        return {"input_ids": row, "labels": row}


class Stream(torch.utils.data.IterableDataset[Any]):
    """The same sequences, `n` of them, without a length."""

    def __init__(self, n: int) -> None:
        self._n = n

    def __iter__(self) -> Iterator[Any]:
        rows = Rows()
        for index in range(self._n):
            yield rows[index % len(rows)]


class Events(TrainerCallback):
    """Tells each step; interrupts behind the one that it is told to."""

    def __init__(self, survival: SpotCallback, cut_after: int | None, **after: Any) -> None:
        self._survival = survival
        self._cut_after = cut_after
        self._after = after

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step and state.global_step == self._cut_after:
            common.cut(self._survival)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        common.step_done(state.global_step, **self._after)


def a_model(width: int = 32) -> Any:
    """Randomly initialised; `width` is what a changed script changes."""
    return GPT2LMHeadModel(
        GPT2Config(n_layer=1, n_head=2, n_embd=width, vocab_size=64, n_positions=16)
    )


def a_trainer(
    folder: Path,
    survival: SpotCallback,
    *,
    model: Any = None,
    data: Any = None,
    callbacks: Any = (),
    trainer: Any = Trainer,
    **settings: Any,
) -> Any:
    """A Trainer with the callback; `settings` are TrainingArguments."""
    chosen = {
        "num_train_epochs": EPOCHS,
        "per_device_train_batch_size": BATCH,
        "logging_strategy": "no",
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "seed": 17,
        "disable_tqdm": True,
    }
    return trainer(
        model=model or a_model(),
        args=TrainingArguments(output_dir=str(folder), **(chosen | settings)),
        train_dataset=data or Rows(),
        eval_dataset=Rows(),
        callbacks=[survival, *callbacks],
    )


def train(
    directory: Path,
    *,
    cut_after: int | None = None,
    pause: float = 0.0,
    warn_after: int | None = None,
    interval: float = 0.0,
    ends: bool = True,
    width: int = 32,
    callbacks: Any = (),
    others: Any = (),
    **settings: Any,
) -> State:
    """From the start to the end; raises Cut behind step `cut_after`, when that is committed.

    Unless it `ends`, it is cut off between its last step and complete(). `callbacks` are those with
    state, `others` have none.
    """
    torch.manual_seed(17)
    model, survival = a_model(width), SpotCallback(callbacks=callbacks)
    events = Events(survival, cut_after, pause=pause, warn_after=warn_after)
    trainer = a_trainer(
        directory, survival, model=model, callbacks=[*callbacks, *others, events], **settings
    )
    trainer.train(resume_from_checkpoint=spot.resume_path(directory=directory, interval=interval))
    found = common.state_of(model, trainer.optimizer)
    if not ends:
        common.cut(survival)
    survival.complete()
    return found


def main() -> None:
    """As a program."""
    common.as_program(train)
