"""Writes the attempt's state at each change: the termination message and the pod's journal."""

import logging
from pathlib import Path

from spot_sidecar.state.attempt_state import AttemptState
from spot_sidecar.state.last_word import last_word, write_last_word
from spot_sidecar.state.pod_journal import PodJournal
from spot_sidecar.state.state_persistence import persistent_state

__all__ = ["StateWriter"]

log = logging.getLogger(__name__)

REFRESH_SECONDS = 1.0
"""Steps and seconds change all the time: they are at most so old."""


class StateWriter:
    """Keeps the files on disk up to date with the attempt's state."""

    def __init__(
        self, attempt_state: AttemptState, journal: PodJournal, termination_log: Path
    ) -> None:
        self._attempt_state = attempt_state
        self._journal = journal
        self._path = termination_log
        self._written = b""
        self._failed = False

    def follow(self, attempt_state: AttemptState) -> None:
        """Write the state of another attempt from now on."""
        before, self._attempt_state = self._attempt_state, attempt_state
        before.changes.ring()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            beat = self._attempt_state.changes.beat
            self.write()
            await self._attempt_state.changes.beyond(beat, REFRESH_SECONDS)

    def write(self) -> None:
        """Write now what has changed."""
        body = last_word(self._attempt_state)
        try:
            if body != self._written:
                write_last_word(self._path, body)
                self._written = body
            self._journal.put(state=persistent_state(self._attempt_state))
        except OSError as error:
            # Training goes on without them: the reports carry the same.
            if not self._failed:
                log.warning("cannot write the last word: %s", error)
            self._failed = True
