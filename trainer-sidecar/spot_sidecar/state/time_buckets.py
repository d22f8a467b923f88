"""Where the attempt's time went: every second between two updates is in exactly one bucket. Pure.

The sidecar sees the trainer from outside, by its progress file: time below the high-water step of
the earlier attempts is replayed work, the trainer's own count of stalls is taken out of both.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

__all__ = ["Phase", "TimeBuckets", "spend"]


class Phase(Enum):
    """What the attempt is doing."""

    STARTING = "startUp"
    RESTORING = "restore"
    TRAINING = "training"
    DRAINING = "drain"


@dataclass(frozen=True, slots=True)
class TimeBuckets:
    """Seconds of this attempt, cumulative."""

    start_up: float = 0.0
    restore: float = 0.0
    productive: float = 0.0
    replayed: float = 0.0
    checkpoint_stall: float = 0.0
    drain: float = 0.0

    @property
    def total(self) -> float:
        """All seconds that were accounted for."""
        return (
            self.start_up
            + self.restore
            + self.productive
            + self.replayed
            + self.checkpoint_stall
            + self.drain
        )

    @property
    def trained(self) -> float:
        """Those in which steps were made, new or again."""
        return self.productive + self.replayed

    def to_json(self) -> dict[str, Any]:
        return {
            "startUp": round(self.start_up, 3),
            "restore": round(self.restore, 3),
            "productive": round(self.productive, 3),
            "replayed": round(self.replayed, 3),
            "checkpointStall": round(self.checkpoint_stall, 3),
            "drain": round(self.drain, 3),
        }


def spend(
    seconds: TimeBuckets,
    elapsed: float,
    phase: Phase,
    *,
    stalled: float = 0.0,
    steps: tuple[int, int] = (0, 0),
    high_water: int = 0,
) -> TimeBuckets:
    """`seconds` plus `elapsed` seconds of `phase`.

    While training, `stalled` of them went into snapshots, and the rest is split between replayed
    and productive by the share of the steps `steps` = (before, after) at or below `high_water`.
    """
    if phase is Phase.STARTING:
        return replace(seconds, start_up=seconds.start_up + elapsed)
    if phase is Phase.RESTORING:
        return replace(seconds, restore=seconds.restore + elapsed)
    if phase is Phase.DRAINING:
        return replace(seconds, drain=seconds.drain + elapsed)
    stalled = min(max(0.0, stalled), elapsed)
    worked = elapsed - stalled
    replayed = worked * replayed_share(*steps, high_water)
    return replace(
        seconds,
        checkpoint_stall=seconds.checkpoint_stall + stalled,
        replayed=seconds.replayed + replayed,
        productive=seconds.productive + worked - replayed,
    )


def replayed_share(before: int, after: int, high_water: int) -> float:
    """Of the work from step `before` to step `after`, the part at or below `high_water`.

    While no step has ended, the work belongs to step `before + 1`.
    """
    if after <= before:
        return 1.0 if before < high_water else 0.0
    return min(1.0, max(0, high_water - before) / (after - before))
