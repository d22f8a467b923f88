"""A budget of writes per second that many share."""

from spot_operator.control.clock import Clock

__all__ = ["RateBudget"]


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
        if self._left < 1.0:
            return (1.0 - self._left) / self._per_second
        self._left -= 1.0
        return 0.0
