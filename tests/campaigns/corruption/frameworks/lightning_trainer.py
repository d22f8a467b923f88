"""Lightning's Trainer: `ModelCheckpoint(save_last=True)`, then `fit(ckpt_path="last")`."""

from __future__ import annotations

import sys
from typing import Any

import lightning
import torch
from campaigns.corruption.frameworks import states
from lightning.pytorch.callbacks import Callback, ModelCheckpoint


class Module(lightning.LightningModule):
    """The model, as Lightning wants it."""

    def __init__(self) -> None:
        super().__init__()
        self.model = states.Model()

    def training_step(self, batch: Any, _index: int) -> Any:
        return self.model(batch)["loss"]

    def configure_optimizers(self) -> Any:
        return states.optimizer_of(self.model)


class Fill(Callback):
    """Before each save, what belongs to the step."""

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        states.fill(module.model, trainer.optimizers[0], trainer.global_step)


class Tell(Callback):
    """When all is loaded and before anything is trained."""

    def on_train_start(self, trainer: Any, module: Any) -> None:
        states.tell(module.model, trainer.optimizers[0], trainer.global_step)


def save() -> None:
    """`folder`: save every step."""
    _trainer(sys.argv[1], Fill(), steps=states.NEWEST).fit(Module(), _batches())


def load() -> None:
    """`folder`: load the newest."""
    trainer = _trainer(sys.argv[1], Tell(), steps=2 * states.NEWEST)
    trainer.fit(Module(), _batches(), ckpt_path="last")


def _trainer(folder: str, callback: Any, *, steps: int) -> Any:
    saving = ModelCheckpoint(
        dirpath=folder, filename="{step}", every_n_train_steps=1, save_top_k=-1, save_last=True
    )
    return lightning.Trainer(
        max_steps=steps, accelerator="cpu", devices=1, logger=False, callbacks=[callback, saving],
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
    )  # fmt: skip


def _batches() -> Any:
    data = [torch.ones(1, dtype=torch.float64) for _ in range(2 * states.NEWEST)]
    return torch.utils.data.DataLoader(data, batch_size=1)
