"""How a script begins that asks nobody: its container starts once its files are in place.

Its arguments were made with the pod. If they promise a checkpoint and there is none, or the other
way round, the script must not start: the operator makes another pod, with the right ones.
"""

import asyncio
from collections.abc import Callable

from spot_training.checkpoint.records import FormatError

from spot_sidecar.directory.restore import DirectoryFetch
from spot_sidecar.resume.attempt_start import AttemptStart, Loaded
from spot_sidecar.resume.decision import Decision, Fresh, FromCheckpoint
from spot_sidecar.state.attempt_state import AttemptState

__all__ = ["FRESH", "RESUME", "ScriptStart", "misfit"]

RESUME = "RegrantResume"
"""The word for: there is a checkpoint, and the arguments do not name it."""
FRESH = "RegrantFresh"
"""The word for: the arguments name a checkpoint, and the job is to begin from zero."""


def misfit(decision: Decision | None, *, promised: bool, by_arguments: bool) -> str:
    """The word that says why the script may not start with its arguments; empty: it may. Pure.

    `promised`: the pod was made when a commit was known; `by_arguments`: then it got some.
    """
    if not by_arguments:
        return ""
    if isinstance(decision, FromCheckpoint) and not promised:
        return RESUME
    return FRESH if isinstance(decision, Fresh) and promised else ""


class ScriptStart:
    """From the decision to the moment in which the script may start."""

    def __init__(
        self,
        attempt_start: AttemptStart,
        fetch: DirectoryFetch,
        attempt_state: AttemptState,
        *,
        promised: Callable[[], bool],
        by_arguments: bool,
    ) -> None:
        self._attempt_start = attempt_start
        self._fetch = fetch
        self._attempt_state = attempt_state
        self._promised = promised
        self._by_arguments = by_arguments
        self.ready = False
        """The script may start, or has started."""

    async def begin(self) -> bool:
        """After the decision: put the files in place; say whether the script may start."""
        decision = self._attempt_start.decision
        if not self._attempt_start.begun:
            word = misfit(decision, promised=self._promised(), by_arguments=self._by_arguments)
            if word:
                self._turn_back(word, decision)
                return False
            if isinstance(decision, FromCheckpoint) and not await self._put(decision):
                return False
            if isinstance(decision, Fresh):
                self._attempt_start.started(0)
        self.ready = self._attempt_start.begun
        return self.ready

    async def _put(self, decision: FromCheckpoint) -> bool:
        step = decision.manifest.step
        try:
            await asyncio.to_thread(self._fetch.put, step)
        except FormatError as error:
            self._attempt_state.meet("CheckpointCorrupt", str(error))
            self._attempt_start.halt("StartFailed", str(error))
            return False
        self._attempt_start.loaded(Loaded(0, step, verified=True, differs=(), seconds=0.0))
        return True

    def _turn_back(self, word: str, decision: Decision | None) -> None:
        found = decision.origin if isinstance(decision, FromCheckpoint) else None
        reason = (
            f"the store has checkpoint {found.id}, which the operator did not know: the script's "
            "arguments name none"
            if found
            else "no checkpoint is valid, and the script's arguments name one"
        )
        self._attempt_state.found = found
        self._attempt_state.say(word, reason)
