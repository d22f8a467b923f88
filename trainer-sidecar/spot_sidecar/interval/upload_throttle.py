"""When an upload is held back, and to which rate. Pure.

Spreading an upload over half the interval keeps the network and the processor for the trainer, but
what is not durable yet is lost with the node: so it is done only where uploads were seen to slow
the trainer, and only as far as the bound on lost work leaves time.
"""

from dataclasses import dataclass
from typing import Final

from spot_sidecar.interval.costs import Measured

__all__ = ["Held", "held_rate"]

WORTH: Final = 0.02
"""A slowdown below this is not worth later checkpoints."""
LEAST_STRETCH: Final = 1.25
"""An upload that would take hardly longer is left alone."""
LEARN_SAVES: Final = 3
"""So many saves are measured at full speed first."""
PROBE_EVERY: Final = 8
"""Every so many saves one goes at full speed, to measure again."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the rate depends on beside the measurements; seconds."""

    interval: float
    max_lost_work: float | None
    size: int
    reason: str
    since_full_speed: int
    """Uploads held back since the last one that was not."""
    hurried: bool
    """A notice is in force, or the trainer has ended."""


def held_rate(held: Held, measured: Measured | None) -> float | None:
    """Bytes per second for the upload that begins now; None: as fast as it goes."""
    if measured is None or held.hurried or held.reason != "periodic":
        return None
    if measured.saves < LEARN_SAVES or held.since_full_speed >= PROBE_EVERY - 1:
        return None
    if measured.slowdown is None or measured.slowdown < WORTH:
        return None
    seconds = stretch(held, measured) - measured.commit
    if seconds < LEAST_STRETCH * measured.upload_seconds(held.size):
        return None
    return held.size / seconds


def stretch(held: Held, measured: Measured) -> float:
    """Seconds from the snapshot to its commit that may be taken."""
    half = held.interval / 2
    if held.max_lost_work is None:
        return half
    return min(half, held.max_lost_work - held.interval - measured.stall)
