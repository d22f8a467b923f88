"""Hugging Face's Trainer: `get_last_checkpoint`, then `train(resume_from_checkpoint=…)`."""

from __future__ import annotations

import sys
from typing import Any

import torch
from campaigns.corruption.frameworks import states
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint


class Fill(TrainerCallback):
    """Before each save, what belongs to the step."""

    def on_step_end(self, _arguments: Any, state: Any, _control: Any, **parts: Any) -> None:
        states.fill(parts["model"], _plain(parts["optimizer"]), state.global_step)


class Tell(TrainerCallback):
    """When all is loaded and before anything is trained."""

    def on_train_begin(self, _arguments: Any, state: Any, _control: Any, **parts: Any) -> None:
        states.tell(parts["model"], _plain(parts["optimizer"]), state.global_step)


def save() -> None:
    """`folder`: save every step."""
    _trainer(sys.argv[1], Fill(), steps=states.NEWEST).train()


def load() -> None:
    """`folder`: load the newest."""
    newest = get_last_checkpoint(sys.argv[1])
    _trainer(sys.argv[1], Tell(), steps=2 * states.NEWEST).train(resume_from_checkpoint=newest)


def _trainer(folder: str, callback: Any, *, steps: int) -> Any:
    model = states.Model()
    optimizer = states.optimizer_of(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    arguments = TrainingArguments(
        output_dir=folder, max_steps=steps, save_steps=1, save_strategy="steps", use_cpu=True,
        per_device_train_batch_size=1, report_to=[], disable_tqdm=True, logging_strategy="no",
    )  # fmt: skip
    data = [{"x": torch.ones(1, dtype=torch.float64)} for _ in range(2 * states.NEWEST)]
    return Trainer(
        model=model, args=arguments, train_dataset=data, optimizers=(optimizer, schedule),
        callbacks=[callback],
    )  # fmt: skip


def _plain(optimizer: Any) -> Any:
    """Accelerate wraps it."""
    return getattr(optimizer, "optimizer", optimizer)
