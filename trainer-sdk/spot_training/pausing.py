"""When to save and when to stop. Pure: times in seconds on one monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass

SAFETY = 1.3  # estimates are of the last uploads; the next may be slower
MARGIN = 2.0  # seconds kept for the last word
FIRST_SHARE, FIRST_LEAST = 0.1, 5.0


@dataclass(frozen=True, slots=True)
class Flush:
    """What to do about a certain notice: save now or not, and until when to wait (None: no end)."""

    save: bool
    until: float | None


def plan_flush(now: float, seconds_left: float | None, estimate: float | None) -> Flush:
    """Whether a snapshot taken now can be committed in time.

    `estimate` is the measured time from a snapshot's begin to its commit, None if nothing was
    measured yet: then it is tried. "Not enough time, keep the last checkpoint" is a legal answer;
    an upload under way is waited for in either case.
    """
    if seconds_left is None:
        return Flush(save=True, until=None)
    until = now + max(0.0, seconds_left - min(MARGIN, seconds_left / 4))
    enough = estimate is None or now + estimate * SAFETY <= until
    return Flush(save=enough and seconds_left > 0, until=until)


def first_due(now: float, interval: float, *, fresh: bool) -> float:
    """When the first periodic save is due: early in a fresh run, which has nothing to fall back on
    and knows no cost yet."""
    if not fresh:
        return now + interval
    return now + min(interval, max(interval * FIRST_SHARE, FIRST_LEAST))
