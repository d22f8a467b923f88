"""What Lightning's Trainer can be told to do that cannot be resumed exactly. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SUPPORTED = "SingleDeviceStrategy"
_INSTEAD = "train on one device: Trainer(accelerator='cpu' or 'gpu', devices=1)"


def refused(trainer: Any) -> Iterator[str]:
    """What is not supported, each by its name and with what to do instead."""
    strategy = type(trainer.strategy).__name__
    if strategy != SUPPORTED:
        yield f"{strategy} is not supported: {_INSTEAD}"
        return
    if trainer.world_size > 1:
        yield f"{trainer.world_size} processes are not supported: {_INSTEAD}"
    device = trainer.strategy.root_device.type
    if device not in ("cpu", "cuda"):
        yield f"the random state of {device} cannot be saved: {_INSTEAD}"


def inexact(trainer: Any, module: Any, loaders: list[Any]) -> Iterator[str]:
    """What makes a resumed training differ from an uninterrupted one, known beforehand."""
    if not module.automatic_optimization:
        yield "manual optimization: gradients kept from one batch to the next are not saved"
    if trainer.reload_dataloaders_every_n_epochs:
        yield "reload_dataloaders_every_n_epochs: the loaders are created again at every start"
    if any(getattr(loader, "persistent_workers", False) for loader in loaders):
        yield "persistent workers keep random state that cannot be saved"


def positioned(loader: Any) -> bool:
    """Whether the loader finds its place again by itself, which Lightning asks it to."""
    return hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict")
