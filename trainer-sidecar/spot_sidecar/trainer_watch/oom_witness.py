"""Records what the kernel killed in the trainer's container, against its end."""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

from spot_sidecar.state.attempt_state import AttemptState
from spot_sidecar.state.oom_kills import Counters, KillLog
from spot_sidecar.trainer_watch.oom_watch import OomWatch

__all__ = ["OomWitness"]

log = logging.getLogger(__name__)


class OomWitness:
    """Told of the trainer's processes; the kernel's counters come to it from `OomWatch`."""

    def __init__(self, attempt_state: AttemptState, socket: Path) -> None:
        self._attempt_state = attempt_state
        self._kills = KillLog(attempt_state.kills)
        self._watch = OomWatch(socket, self._saw, attempt_state.clock)
        self._loop: asyncio.AbstractEventLoop | None = None

    def follow(self, attempt_state: AttemptState) -> None:
        """Record for another attempt from now on."""
        self._attempt_state = attempt_state
        self._kills = KillLog(attempt_state.kills)

    def start(self) -> None:
        """Watch from now on; what is seen is told in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._watch.start()

    def stop(self) -> None:
        """Watch no more."""
        self._watch.stop()

    def lives(self) -> None:
        """A process of the trainer has come."""
        self._kills.lives()
        self._show()

    def ended(self) -> None:
        """The last process of the trainer has gone."""
        self._kills.ended(self._attempt_state.clock.monotonic())
        self._show()

    def _saw(self, more: Counters, limit: int | None, at: float) -> None:
        """In the thread that reads."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._counted, more, limit, at)

    def _counted(self, more: Counters, limit: int | None, at: float) -> None:
        found = {"oom": more.oom, "oomKill": more.oom_kill, "limit": limit}
        log.warning("the trainer's container was out of memory", extra=found)
        self._kills.counted(more, limit, at)
        self._show()

    def _show(self) -> None:
        if self._attempt_state.kills != self._kills.kills:
            self._attempt_state.kills = self._kills.kills
            self._attempt_state.changed()
