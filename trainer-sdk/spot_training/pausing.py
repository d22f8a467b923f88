"""When to save and when to stop. Pure: times in seconds on one monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass

SAFETY = 1.3  # estimates are of the last uploads; the next may be slower
MARGIN = 2.0  # seconds kept for the last word
FIRST_SHARE, FIRST_LEAST = 0.1, 5.0
PRECISION = {"Rebalance": 0.1, "Maintenance": 1.0}  # of such notices, the share that comes true


@dataclass(frozen=True, slots=True)
class Flush:
    """What to do about a certain notice: save now or not, and until when to wait (None: no end)."""

    save: bool
    until: float | None


def flush_end(now: float, seconds_left: float | None) -> float | None:
    """Until when a last save may take; None: there is no deadline."""
    if seconds_left is None:
        return None
    return now + max(0.0, seconds_left - min(MARGIN, seconds_left / 4))


def plan_flush(now: float, seconds_left: float | None, estimate: float | None) -> Flush:
    """Whether a snapshot taken now can be committed in time.

    `estimate` is the measured time from a snapshot's begin to its commit, None if nothing was
    measured yet: then it is tried. "Not enough time, keep the last checkpoint" is a legal answer;
    an upload under way is waited for in either case.
    """
    until = flush_end(now, seconds_left)
    if seconds_left is None or until is None:
        return Flush(save=True, until=None)
    enough = estimate is None or now + estimate * SAFETY <= until
    return Flush(save=enough and seconds_left > 0, until=until)


def first_due(now: float, interval: float) -> float:
    """When the first periodic save of a fresh run is due: early, for there is nothing to fall back
    on and no cost is known yet."""
    return now + min(interval, max(interval * FIRST_SHARE, FIRST_LEAST))


def worth_saving(kind: str, since_durable: float, cost: float | None) -> bool:
    """Whether an uncertain notice is reason enough for a save out of turn.

    `since_durable` seconds of work would be lost if it came true, which of its kind so many do;
    the save costs `cost` seconds (None: nothing was measured yet).
    """
    return cost is None or since_durable > cost / PRECISION.get(kind, 1.0)
