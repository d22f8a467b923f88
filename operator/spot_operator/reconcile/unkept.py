"""Which fields of the status the API server does not keep. Memory only.

The CRDs are the cluster's: what one job shows holds for all. The server is asked before the first
write of this process, so that no intent is half stored, and again while it lacks something, for an
upgrade of the CRDs makes no event here. What a write shows counts as well.
"""

import logging
from collections.abc import Iterable
from typing import Final

from spot_operator.control.clock import Clock
from spot_operator.domain.crd_support import REMEDY, told

__all__ = ["ASK_AGAIN", "Unkept"]

log = logging.getLogger(__name__)

ASK_AGAIN: Final = 300.0
"""Seconds between two questions while something is not kept, or the answer was none."""


class Unkept:
    """The paths, and when the server is to be asked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._paths: frozenset[str] = frozenset()
        self._ask_at: float | None = clock.monotonic()

    @property
    def paths(self) -> frozenset[str]:
        """What is not worth writing."""
        return self._paths

    def is_due(self) -> bool:
        """Whether the server is to be asked."""
        return self._ask_at is not None and self._clock.monotonic() >= self._ask_at

    def put_off(self) -> None:
        """The server does not say."""
        self._ask_at = self._clock.monotonic() + ASK_AGAIN

    def answered(self, paths: Iterable[str]) -> frozenset[str]:
        """All that the server does not keep, by its own answer; returns what is news."""
        before, self._paths = self._paths, frozenset(paths)
        if before and not self._paths:
            log.info("the API server keeps the whole status of jobs now")
        self._ask_at = self._clock.monotonic() + ASK_AGAIN if self._paths else None
        return self._tell(before)

    def shown(self, paths: Iterable[str]) -> frozenset[str]:
        """A write came back without these; returns what is news."""
        before = self._paths
        self._paths |= frozenset(paths)
        if self._paths and self._ask_at is None:
            self._ask_at = self._clock.monotonic() + ASK_AGAIN
        return self._tell(before)

    def _tell(self, before: frozenset[str]) -> frozenset[str]:
        news = self._paths - before
        if news:
            log.error("the API server does not keep %s of a job's status: %s", told(news), REMEDY)
        return news
