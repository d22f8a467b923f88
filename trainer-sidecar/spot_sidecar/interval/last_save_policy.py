"""What a certain notice leaves time for: a last save, the upload under way, or both. Pure.

Never neither: an upload under way is given up for a last save only where that one surely fits.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

__all__ = ["SAFETY", "LastSaveDecision", "Window", "decide"]

SAFETY: Final = 1.3
"""Estimates are of the last uploads; the next may be slower."""


class LastSaveDecision(Enum):
    """What to do with the time that is left."""

    SAVE = "save"
    """Nothing is under way, and a last save fits."""
    AFTER = "after"
    """Finish the upload under way, then the last save."""
    BEFORE = "before"
    """Pause the upload under way: the last save alone fits."""
    KEEP = "keep"
    """Finish the upload under way; no last save."""
    SKIP = "skip"
    """Nothing is under way and a last save does not fit: the last checkpoint is kept."""

    @property
    def saves(self) -> bool:
        """Whether a last save is taken."""
        return self in (LastSaveDecision.SAVE, LastSaveDecision.AFTER, LastSaveDecision.BEFORE)


@dataclass(frozen=True, slots=True)
class Window:
    """Seconds. `left` None: no deadline is known; `save` None: nothing was measured yet."""

    left: float | None
    save: float | None
    """From now until a last save is committed, with nothing before it."""
    rest: float | None = None
    """Until the upload under way is committed; None: none is."""
    may_pause: bool = True
    """Another arena is free, and the upload under way is not yet being committed."""


def decide(window: Window) -> LastSaveDecision:
    """The rule of the three questions: do both fit, does the save fit, else keep what is sure."""
    under_way = window.rest is not None
    if window.left is None or window.save is None:
        return LastSaveDecision.AFTER if under_way else LastSaveDecision.SAVE
    if not under_way:
        return (
            LastSaveDecision.SAVE if window.save * SAFETY <= window.left else LastSaveDecision.SKIP
        )
    if ((window.rest or 0.0) + window.save) * SAFETY <= window.left:
        return LastSaveDecision.AFTER
    if window.may_pause and window.save * SAFETY <= window.left:
        return LastSaveDecision.BEFORE
    return LastSaveDecision.KEEP
