"""The trainer's preStop hook: holds back SIGTERM until the state is safe or the time is up.

The kubelet calls it whenever it kills the trainer's container: at the pod's deletion, but also when
the trainer ended by itself. Without a live process of the SDK there is nothing to wait for, and
nothing to announce.
"""

from collections.abc import Callable
from datetime import timedelta

from spot_sidecar.base.clock import Clock
from spot_sidecar.base.pulse import Pulse
from spot_sidecar.notices.bus import NoticeBus
from spot_sidecar.notices.notice import Kind, Notice
from spot_sidecar.trainer_watch.sessions import Sessions

__all__ = ["Drain"]

SPARE_SECONDS = 5.0
"""What is left of the grace for a trainer that only knows SIGTERM."""


class Drain:
    """One drain, however often the kubelet calls."""

    def __init__(
        self,
        bus: NoticeBus,
        sessions: Sessions,
        clock: Clock,
        *,
        grace_seconds: float,
        uploads: Pulse,
        uploads_idle: Callable[[], bool],
        turn_away: Callable[[str], object],
    ) -> None:
        """`uploads` beats whenever `uploads_idle` may have changed.

        `turn_away` is called with the reason: a process that waits for its state may go.
        """
        self._bus = bus
        self._sessions = sessions
        self._clock = clock
        self._grace = grace_seconds
        self._uploads = uploads
        self._uploads_idle = uploads_idle
        self._turn_away = turn_away
        self._end: float | None = None

    @property
    def grace_left(self) -> float:
        """Seconds until the kubelet kills, counted from the first hook; all if there was none."""
        if self._end is None:
            return self._grace
        return max(0.0, self._end - self._clock.monotonic())

    async def drain(self) -> str:
        """Return when the trainer has ended and its last snapshot is safe; say why it returned."""
        spare = min(SPARE_SECONDS, self._grace / 4)
        if self._end is None:
            self._end = self._clock.monotonic() + self._grace
        if not self._sessions.processes:
            return "no process of the SDK is alive"
        self._announce(self.grace_left - spare)
        self._turn_away("the pod is being deleted")
        while (left := self.grace_left - spare) > 0:
            if not self._sessions.processes and self._uploads_idle():
                return "the trainer has ended and its state is safe"
            await self._news(left)
        return "the grace is nearly over"

    async def _news(self, seconds: float) -> None:
        """Wait for a change of the sessions, which end last, or of the uploads."""
        if self._sessions.processes:
            await self._sessions.changes.beyond(self._sessions.changes.beat, seconds)
        else:
            await self._uploads.beyond(self._uploads.beat, seconds)

    def _announce(self, seconds: float) -> None:
        now = self._clock.now()
        self._bus.tell(
            Notice(
                Kind.PodDeletion,
                "drain",
                observed_at=now,
                deadline=now + timedelta(seconds=seconds),
                raw="preStop",
            )
        )
