"""What saving costs, as measured: medians of the last few saves. Pure.

The first stall of an attempt is left out, because it pays for memory that is touched for the first
time; a latency counts only where the upload was not held back on purpose.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

__all__ = ["Costs", "Measured", "Save", "from_json", "to_json"]

KEPT: Final = 9
"""Saves in a median: two bad ones in a row move it little."""
SLOWDOWN: Final = 0.03
"""Before it was measured: on quiet machines an upload beside it slowed a trainer by 1 to 4 %."""
WORST_SLOWDOWN: Final = 0.9


@dataclass(frozen=True, slots=True)
class Save:
    """One committed save; the upload's own time and the whole time to the commit, in seconds."""

    stall: float
    latency: float
    upload: float
    bytes: int
    throttled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The medians. Seconds, bytes per second; `slowdown` and `step` None: not measured yet."""

    stall: float
    latency: float
    commit: float
    """What of the latency is not the upload: receipt, manifest, waiting for other ranks."""
    bytes: int
    bytes_per_second: float
    saves: int
    """How many saves were measured, over all attempts."""
    slowdown: float | None = None
    step: float | None = None

    @property
    def slowing(self) -> float:
        """The slowdown to reckon with."""
        return SLOWDOWN if self.slowdown is None else self.slowdown

    def save_seconds(self, size: int) -> float:
        """From now until a snapshot of `size` bytes is committed, nothing being in its way."""
        return self.stall + self.upload_seconds(size) + self.commit

    def upload_seconds(self, size: float) -> float:
        """How long so many bytes take."""
        return size / max(1.0, self.bytes_per_second)


@dataclass(slots=True)
class Costs:
    """The samples of this attempt, begun with what earlier ones measured."""

    before: Measured | None = None
    _stalls: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    _latencies: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    _commits: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    _rates: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    _slowdowns: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    _steps: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    _first_stall: float | None = None
    _bytes: int = 0
    _saves: int = 0

    def __post_init__(self) -> None:
        """Take what is known already as one sample."""
        if self.before is not None:
            self._sow(self.before)

    def saw_save(self, save: Save) -> None:
        """A save was committed."""
        self._saves += 1
        self._bytes = save.bytes
        if self._first_stall is None:
            self._first_stall = save.stall
        else:
            self._stalls.append(save.stall)
        if not save.throttled:
            self._latencies.append(save.latency)
            self._commits.append(max(0.0, save.latency - save.upload))
            self._rates.append(save.bytes / max(save.upload, 1e-6))

    def saw_steps(self, *, quiet: float) -> None:
        """The mean seconds of a step while nothing was uploaded."""
        self._steps.append(quiet)

    def saw_slowdown(self, *, quiet: float, beside: float) -> None:
        """The mean seconds of a step before an upload and beside it, in [0, 1) of its speed.

        Single ones may be below 0 by noise; their median is not.
        """
        self._slowdowns.append(1.0 - quiet / max(beside, 1e-9))

    def measured(self) -> Measured | None:
        """The medians; None before a first save was measured."""
        if not self._latencies or (not self._stalls and self._first_stall is None):
            return None
        return Measured(
            stall=median(self._stalls) if self._stalls else self._first_stall or 0.0,
            latency=median(self._latencies),
            commit=median(self._commits),
            bytes=self._bytes,
            bytes_per_second=median(self._rates),
            saves=self._saves,
            slowdown=_clamped(median(self._slowdowns)) if self._slowdowns else None,
            step=median(self._steps) if self._steps else None,
        )

    def _sow(self, known: Measured) -> None:
        self._stalls.append(known.stall)
        self._latencies.append(known.latency)
        self._commits.append(known.commit)
        self._rates.append(known.bytes_per_second)
        self._bytes, self._saves = known.bytes, known.saves
        if known.slowdown is not None:
            self._slowdowns.append(known.slowdown)
        if known.step is not None:
            self._steps.append(known.step)


def _clamped(slowdown: float) -> float:
    return min(WORST_SLOWDOWN, max(0.0, slowdown))


NAMES: Final[Mapping[str, str]] = {
    "stall": "stallSeconds",
    "latency": "commitLatencySeconds",
    "commit": "commitOverheadSeconds",
    "bytes": "stateBytes",
    "bytes_per_second": "uploadBytesPerSecond",
    "saves": "saves",
    "slowdown": "slowdown",
    "step": "stepSeconds",
}
"""By our names: those in reports, status and SPOT_CONFIG."""


def to_json(measured: Measured) -> dict[str, Any]:
    """What was measured, under the names everybody sees; without what was not."""
    found = {said: getattr(measured, own) for own, said in NAMES.items()}
    return {
        said: round(value, 6) if isinstance(value, float) else value
        for said, value in found.items()
        if value is not None
    }


def from_json(raw: Mapping[str, Any]) -> Measured:
    """Read what `to_json` wrote."""
    return Measured(**{own: raw[said] for own, said in NAMES.items() if said in raw})
