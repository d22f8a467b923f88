"""A Lightning training with everything that is easily lost: dropout, batch statistics, shuffling,
noise drawn while samples are read, a schedule by steps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import spot_training as spot
import torch
from kit.torch_trainers import common
from kit.torch_trainers.common import BATCH, EPOCH_STEPS, EPOCHS, SAMPLES, State
from lightning.pytorch.callbacks import ModelCheckpoint
from spot_training.integrations.lightning import SpotCallback
from torch.utils.data import DataLoader, Dataset


class Points(Dataset[Any]):
    """Points with noise that is drawn anew each time they are read."""

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> Any:
        return torch.full((8,), index / SAMPLES) + 0.1 * torch.randn(8), torch.tensor([index % 3.0])


class Positioned:
    """A loader that finds its place by itself; its order depends on the epoch alone."""

    def __init__(self) -> None:
        self._epoch = self._at = 0
        self._points = Points()

    def __len__(self) -> int:
        return EPOCH_STEPS

    def __iter__(self) -> Iterator[Any]:
        torch.rand(())  # as a DataLoader does
        return self._rest()

    def _rest(self) -> Iterator[Any]:
        order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(self._epoch))
        for batch in range(self._at, EPOCH_STEPS):
            rows = order[batch * BATCH :][:BATCH].tolist()
            points, targets = zip(*(self._points[row] for row in rows), strict=True)
            last = batch + 1 == EPOCH_STEPS
            self._epoch, self._at = (self._epoch + 1, 0) if last else (self._epoch, batch + 1)
            yield torch.stack(points), torch.stack(targets)

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self._epoch, "at": self._at}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._epoch, self._at = state["epoch"], state["at"]


class Model(lightning.LightningModule):
    """Two layers; `width` is what a changed script changes."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(8, width),
            torch.nn.BatchNorm1d(width),
            torch.nn.Dropout(0.3),
            torch.nn.Linear(width, 1),
        )

    def training_step(self, batch: Any, _: int) -> Any:
        loss = (self.net(batch[0]) - batch[1]).pow(2).mean()
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: Any, _: int) -> None:
        self.log("validation", (self.net(batch[0]) - batch[1]).pow(2).mean())

    def test_step(self, batch: Any, index: int) -> None:
        self.validation_step(batch, index)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [4, 9, 9], 0.5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Events(lightning.Callback):
    """Tells each step; interrupts behind the one that it is told to."""

    def __init__(self, survival: SpotCallback, cut_after: int | None, **after: Any) -> None:
        self._survival = survival
        self._cut_after = cut_after
        self._after = after

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step and trainer.global_step == self._cut_after:
            common.cut(self._survival)

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        common.step_done(trainer.global_step, **self._after)


def train(
    directory: Path,
    *,
    cut_after: int | None = None,
    pause: float = 0.0,
    warn_after: int | None = None,
    interval: float = 0.0,
    ends: bool = True,
    validate: bool = False,
    tests: bool = False,
    saves: bool = False,
    epochs: int = EPOCHS,
    batch: int = BATCH,
    model: Any = None,
    positioned: bool = False,
    callbacks: Any = (),
    **settings: Any,
) -> State:
    """From the start to the end; raises Cut behind step `cut_after`, when that is committed.

    Unless it `ends`, it is cut off between its last step and complete(). With `saves` Lightning
    writes checkpoints for itself, too.
    """
    torch.manual_seed(17)
    model, survival = model or Model(), SpotCallback()
    events = Events(survival, cut_after, pause=pause, warn_after=warn_after)
    own = [ModelCheckpoint(directory / "own", every_n_train_steps=5, monitor="loss")][: int(saves)]
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=saves,
        default_root_dir=directory,
        callbacks=[survival, *callbacks, *own, events],
        **settings,
    )
    trainer.fit(
        model,
        Positioned() if positioned else DataLoader(Points(), batch_size=batch, shuffle=True),
        DataLoader(Points(), batch_size=batch) if validate else None,
        ckpt_path=spot.resume_path(directory=directory, interval=interval),
    )
    found = common.state_of(model, trainer.optimizers[0])
    if tests:
        trainer.test(model, DataLoader(Points(), batch_size=batch), verbose=False)
    if not ends:
        common.cut(survival)
    survival.complete()
    return found


def main() -> None:
    """As a program."""
    common.as_program(train)
