"""An upload under way: how far it is, and the two ways to interfere, hurry it or pause it."""

import threading
from dataclasses import dataclass, field

from spot_sidecar.interval.costs import Measured
from spot_sidecar.snapshots.ratelimit import RateLimit
from spot_sidecar.snapshots.snapshot import Snapshot

__all__ = ["Transfer"]


@dataclass(slots=True)
class Transfer:
    """One snapshot on its way to the store; `begun` on the monotonic clock."""

    snapshot: Snapshot
    limit: RateLimit
    begun: float
    cancel: threading.Event = field(default_factory=threading.Event)
    sending: bool = True
    """Data is being sent; False: durable, on its way to the commit, and not to be stopped."""
    paused: bool = False
    released: bool = False
    """Its arena is given back: it may hold the next snapshot by now."""
    uploaded: float = 0.0
    """Seconds the upload took, once it is durable."""

    def durable(self, now: float) -> None:
        """All its bytes are in the store."""
        self.sending = False
        self.uploaded = now - self.begun

    def pause(self) -> None:
        """Give way to a more pressing snapshot; the arena keeps this one."""
        self.paused = True
        self.cancel.set()

    def rest(self, measured: Measured | None, now: float) -> float | None:
        """Seconds until it is committed, going at full speed from now; None: never measured."""
        if measured is None:
            return None
        if not self.sending:
            return measured.commit
        # What was let through may still be on the way: no more was sent than the time allowed.
        sent = min(self.limit.taken, measured.bytes_per_second * (now - self.begun))
        return measured.upload_seconds(max(0.0, self.snapshot.bytes - sent)) + measured.commit
