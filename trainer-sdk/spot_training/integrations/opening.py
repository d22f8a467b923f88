"""`resume_path`: what a framework's trainer is told to resume from."""

from __future__ import annotations

import os
from typing import Protocol

from spot_training.clock import SystemClock
from spot_training.run import NoticeCallback
from spot_training.starting import Opened, connect, open_attempt
from spot_training.state import CARRIED


class Integration(Protocol):
    """A framework's callback, which takes the attempt over."""

    @property
    def framework(self) -> str:
        """How checkpoints call it."""

    def accept(self, opened: Opened, on_notice: NoticeCallback | None) -> str | None:
        """Keeps the attempt for the training that is about to begin.

        Returns what the framework's trainer has to be given as its checkpoint; None: nothing, it
        begins from zero.
        """


_made: list[Integration] = []


def announce(integration: Integration) -> None:
    """The callback that the next `resume_path` is for: the one that was made last."""
    _made[:] = [integration]


def resume_path(
    *,
    directory: str | os.PathLike[str] | None = None,
    interval: float | None = None,
    on_notice: NoticeCallback | None = None,
) -> str | None:
    """Blocks until this attempt may train, and says what the framework's trainer resumes from.

    None: begin from zero. Hugging Face: `trainer.train(resume_from_checkpoint=spot.resume_path())`,
    Lightning: `trainer.fit(…, ckpt_path=spot.resume_path())`, each with its SpotCallback. The
    arguments are those of `resume`.

    Raises AlreadyCompleted, Stopped or Refused (all SystemExit), as `resume` does, and RuntimeError
    if there is no SpotCallback yet.
    """
    if not _made:
        raise RuntimeError(
            "spot.resume_path() is for a trainer with a SpotCallback: make the trainer first, with "
            "callbacks=[SpotCallback()] of spot_training.integrations.huggingface or .lightning"
        )
    (integration,) = _made
    _made.clear()
    opened = open_attempt(connect(directory=directory, interval=interval), SystemClock())
    if opened.restore is not None:
        _expect_framework(opened, integration.framework)
    return integration.accept(opened, on_notice)


def _expect_framework(opened: Opened, framework: str) -> None:
    carried = opened.plain.get(CARRIED, {"framework": "a loop of its own (spot.resume)"})
    if carried["framework"] != framework:
        opened.decline(
            f"the checkpoint was written by {carried['framework']}, this script trains with "
            f"{framework}: go on with the former, or begin another job"
        )
