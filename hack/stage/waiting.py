"""Waiting for a condition with a limit, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class TooLateError(AssertionError):
    """A condition did not come true within its limit; says what was last seen instead."""


def until(
    what: str,
    probe: Callable[[], T | None],
    *,
    within: float,
    every: float = 0.2,
    seen: Callable[[], object] | None = None,
) -> T:
    """Return the first truthy value of `probe`; raise `TooLateError` after `within` seconds.

    `seen` describes the world for the error: it is only called when the limit has passed.
    """
    limit = time.monotonic() + within
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > limit:
            last = f"; last seen: {seen()}" if seen else ""
            raise TooLateError(f"not within {within:.0f} s: {what}{last}")
        time.sleep(every)
