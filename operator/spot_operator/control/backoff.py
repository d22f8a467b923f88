"""How long to wait before the next try."""

from dataclasses import dataclass

from spot_operator.control.clock import Entropy

__all__ = ["Backoff"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential, capped, and drawn from the upper half of the range so that crowds disperse.

    The n-th failure in a row waits between half of and the whole of
    `min(cap, initial * factor ** (n - 1))` seconds ("equal jitter": unlike full jitter it never
    retries at once, which a struggling server would feel).
    """

    entropy: Entropy
    initial: float = 0.5
    factor: float = 2.0
    cap: float = 30.0

    def delay(self, failures: int) -> float:
        """Seconds to wait after `failures` in a row; none after none."""
        if failures <= 0:
            return 0.0
        # Beyond 64 doublings only the cap is left, and floats would overflow.
        longest = min(self.cap, self.initial * self.factor ** min(failures - 1, 64))
        return self.entropy.uniform(longest / 2, longest)
