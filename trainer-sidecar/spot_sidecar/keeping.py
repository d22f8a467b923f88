"""Writes down what the pod must not forget, at each change: last word and own memory."""

import logging
from pathlib import Path

from spot_sidecar.last_word import last_word, write_last_word
from spot_sidecar.memory import Memory
from spot_sidecar.recollection import remember
from spot_sidecar.standing import Standing

__all__ = ["Keeping"]

log = logging.getLogger(__name__)

REFRESH_SECONDS = 1.0
"""Steps and seconds change all the time: they are at most so old."""


class Keeping:
    """The written copy of the picture."""

    def __init__(self, standing: Standing, memory: Memory, termination_log: Path) -> None:
        self._standing = standing
        self._memory = memory
        self._path = termination_log
        self._written = b""
        self._failed = False

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            beat = self._standing.changes.beat
            self.write()
            await self._standing.changes.beyond(beat, REFRESH_SECONDS)

    def write(self) -> None:
        """Write now what has changed."""
        body = last_word(self._standing)
        try:
            if body != self._written:
                write_last_word(self._path, body)
                self._written = body
            self._memory.put(standing=remember(self._standing))
        except OSError as error:
            # Training goes on without them: the reports carry the same.
            if not self._failed:
                log.warning("cannot write the last word: %s", error)
            self._failed = True
