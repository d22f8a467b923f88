"""Lightning's own checkpoint, out of memory and back into it, through its `CheckpointIO`.

`trainer.save_checkpoint` makes the dictionary that Lightning would write to a file, and hands it
to the strategy's CheckpointIO: here it stays a dictionary, its tensors not copied. On the way back
Lightning asks the CheckpointIO for the dictionary of its `ckpt_path`. So nothing is pickled.
Source: lightning.pytorch.trainer.connectors.checkpoint_connector, 2.6.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from lightning.fabric.plugins import CheckpointIO

# Model, optimizers and schedulers are objects of their own in our checkpoints. Hyperparameters are
# what the script made the module with, and makes it with again.
_ELSEWHERE = (
    "state_dict", "optimizer_states", "lr_schedulers", "hyper_parameters", "hparams_name",
    "hparams_type", "datamodule_hyper_parameters", "datamodule_hparams_name",
    "datamodule_hparams_type",
)  # fmt: skip
_PROGRESS = "epoch_loop.batch_progress"
_VALIDATION = "epoch_loop.val_loop.batch_progress"


class InMemory(CheckpointIO):
    """Keeps what is saved; loads what it was made with; leaves other paths to `other`."""

    def __init__(
        self, other: Any, path: str = "", load: Callable[[], dict[str, Any]] | None = None
    ) -> None:
        self.saved: dict[str, Any] = {}
        self._other = other
        self._path = path
        self._load = load

    def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        self.saved = checkpoint

    def load_checkpoint(self, path: Any, *given: Any, **named: Any) -> dict[str, Any]:
        if self._load is not None and path == self._path:
            return self._load()
        return dict(self._other.load_checkpoint(path, *given, **named))

    def remove_checkpoint(self, path: Any) -> None:
        self._other.remove_checkpoint(path)


@contextlib.contextmanager
def _instead(trainer: Any, io: InMemory) -> Iterator[InMemory]:
    before = trainer.strategy.checkpoint_io
    trainer.strategy.checkpoint_io = io
    try:
        yield io
    finally:
        trainer.strategy.checkpoint_io = before


def dump(trainer: Any) -> dict[str, Any]:
    """What Lightning would save beside model, optimizers and schedulers: loops, callbacks, data."""
    elsewhere = (*_ELSEWHERE, type(trainer.precision_plugin).__qualname__)
    with _instead(trainer, InMemory(trainer.strategy.checkpoint_io)) as io:
        trainer.save_checkpoint("", weights_only=False)
    return {name: value for name, value in io.saved.items() if name not in elsewhere}


def place_loaders(checkpoint: dict[str, Any], places: list[Any]) -> None:
    """Puts the loaders where they were before the batch that is ready; without `places` nowhere.

    Lightning asks them when it saves, and then they are one batch ahead.
    """
    checkpoint["loops"]["fit_loop"]["state_dict"]["combined_loader"] = places


def before_a_batch(checkpoint: dict[str, Any]) -> None:
    """Corrects the loops of a dump that was made when a batch was ready and not begun.

    Whether that batch is the last of its epoch is noted before it is trained on: taken back,
    or Lightning would end the epoch without it.
    """
    checkpoint["loops"]["fit_loop"][_PROGRESS]["is_last_batch"] = False


def before_validation(checkpoint: dict[str, Any]) -> None:
    """Corrects the loops of a dump made amid a validation: it is done again as a whole."""
    progress = checkpoint["loops"]["fit_loop"][_VALIDATION]
    for part in ("total", "current"):
        progress[part] |= {"ready": 1, "started": 1, "processed": 0, "completed": 0}
    progress["is_last_batch"] = False
