"""Random entropy, injected: every jittered pause and every nonce comes from `Entropy`."""

import random
import secrets
from typing import Protocol

__all__ = ["Entropy", "SystemEntropy"]


class Entropy(Protocol):
    """Where random values come from."""

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high]: spreads the load of many sidecars, protects nothing."""
        ...

    def token(self, size: int) -> str:
        """`size` bytes in hexadecimal that nobody else draws."""
        ...


class SystemEntropy:
    """The interpreter's generator, and the kernel's for what must be unique."""

    def uniform(self, low: float, high: float) -> float:
        return random.uniform(low, high)  # noqa: S311

    def token(self, size: int) -> str:
        return secrets.token_hex(size)
