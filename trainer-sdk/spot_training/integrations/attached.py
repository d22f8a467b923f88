"""What the callbacks of all frameworks have in common: an attempt, and the run that it becomes."""

from __future__ import annotations

import contextlib
from typing import NoReturn

from spot_training.integrations.opening import announce
from spot_training.run import NoticeCallback, Run
from spot_training.starting import Opened, refuse, take_up
from spot_training.state import TrainingState


class Attached:
    """Holds the attempt until the framework has a state, then the run until it is complete."""

    framework = ""
    trains_by = ""
    """The framework's method that trains."""
    resumes_by = ""
    """How it is told what to resume from."""

    def __init__(self) -> None:
        self._opened: Opened | None = None
        self._on_notice: NoticeCallback | None = None
        self._run: Run | None = None
        self._ended = False
        self._silence: contextlib.ExitStack | None = None
        announce(self)

    def accept(self, opened: Opened, on_notice: NoticeCallback | None) -> str | None:
        """See opening.Integration."""
        self._opened, self._on_notice = opened, on_notice
        return None if opened.restore is None else self._lay_out(opened)

    def complete(self) -> None:
        """The job is done: the final state is committed and marked as the job's result.

        Call it last, when everything else that is to stay was written. Raises RuntimeError if the
        training has not ended, or the commit failed.
        """
        if self._run is None or not self._ended:
            raise RuntimeError(f"complete() comes once, after {self.trains_by} has returned")
        self._run.complete()
        self._run = None

    def _lay_out(self, opened: Opened) -> str:
        """What the framework is given as its checkpoint."""
        raise NotImplementedError

    def _take(self) -> Opened:
        """The attempt, once."""
        opened, self._opened = self._opened, None
        if opened is None:
            refuse(self._without_path())
        return opened

    def _take_up(self, opened: Opened, state: TrainingState) -> Run:
        """Loads and compares; a state that could not be saved later is refused now."""
        run = self._run = take_up(opened, state, seed=0, on_notice=self._on_notice)
        try:
            run.rehearse()
        except TypeError as error:
            opened.decline(f"this training has state that cannot be kept: {error}")
        return run

    def _expect_same_epochs(self, opened: Opened, what: str, before: int, now: int) -> None:
        """The frameworks count steps and batches by whole epochs, and so find their place."""
        if before != now:
            opened.decline(
                f"an epoch had {before} {what} when the checkpoint was written and has {now} now: "
                "go on with the data and the batch size it was trained with, or begin another job"
            )

    def _decline_without_path(self, opened: Opened) -> NoReturn:
        opened.decline(self._without_path())

    def _without_path(self) -> str:
        return f"call {self.resumes_by}: a callback alone cannot resume"

    def _fall_silent(self, what: str) -> None:
        """Steps are far apart, and that is not a stall, until `_end_silence`; once is enough."""
        if self._run is not None and self._silence is None:
            self._silence = contextlib.ExitStack()
            self._silence.enter_context(self._run.busy(what))

    def _end_silence(self) -> None:
        if self._silence is not None:
            self._silence.close()
            self._silence = None

    def _running(self) -> Run:
        if self._run is None:
            raise RuntimeError(
                "the SpotCallback was added after the training had begun: make the trainer with "
                "callbacks=[SpotCallback()]"
            )
        return self._run
