"""A budget of something per second: writes that many share, questions that strangers may cause."""

from collections import OrderedDict
from typing import Final

from spot_operator.control.clock import Clock

__all__ = ["RateBudget", "RateBudgets"]

_ROUNDING: Final = 1e-9
"""Of one: what sums of fractions miss must not be waited for, no clock shows it."""


class RateBudget:
    """A token bucket: `per_second` on average, `burst` at once."""

    def __init__(self, clock: Clock, per_second: float, burst: int) -> None:
        self._clock = clock
        self._per_second = per_second
        self._burst = float(burst)
        self._left = float(burst)
        self._filled = clock.monotonic()

    def take(self) -> float:
        """Take one; 0.0 if there was one, else the seconds until it is worth asking again."""
        now = self._clock.monotonic()
        self._left = min(self._burst, self._left + (now - self._filled) * self._per_second)
        self._filled = now
        if self._left < 1.0 - _ROUNDING:
            return (1.0 - self._left) / self._per_second
        self._left -= 1.0
        return 0.0


class RateBudgets:
    """One budget for each key. At most `limit` keys are remembered, those used last: a key that
    was forgotten has a full budget again."""

    def __init__(self, clock: Clock, per_second: float, burst: int, *, limit: int) -> None:
        self._clock = clock
        self._per_second = per_second
        self._burst = burst
        self._limit = limit
        self._budgets: OrderedDict[str, RateBudget] = OrderedDict()

    def take(self, key: str) -> float:
        """As `RateBudget.take`, of the budget of `key`."""
        budget = self._budgets.pop(key, None)
        budget = budget or RateBudget(self._clock, self._per_second, self._burst)
        self._budgets[key] = budget
        while len(self._budgets) > self._limit:
            self._budgets.popitem(last=False)
        return budget.take()

    def __len__(self) -> int:
        return len(self._budgets)
