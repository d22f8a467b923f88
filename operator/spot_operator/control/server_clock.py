"""The wall clock that all leaders share: the API server's.

What one leader writes the next one reads: instants of two machines' clocks, which may differ by a
day, cannot be subtracted. Every answer of the API server carries its `Date`. A process takes that
up when it begins to lead, and counts on from there with its own monotonic clock, so that no wall
clock that jumps later moves it, neither its own nor the server's.
"""

import logging
from datetime import datetime, timedelta
from typing import Final

from spot_operator.control.client import Client
from spot_operator.control.clock import Clock
from spot_operator.control.errors import ApiError
from spot_operator.control.resource import Resource

__all__ = ["ServerClock"]

log = logging.getLogger(__name__)

TOLD: Final = timedelta(seconds=5)
"""A greater difference is worth a line in the log."""


class ServerClock:
    """Implements `clock.Clock`: until `find` has found the server's, the wall clock is `own`'s."""

    def __init__(self, own: Clock) -> None:
        self._own = own
        self._anchor: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        if self._anchor is None:
            return self._own.now()
        shown, at = self._anchor
        return shown + timedelta(seconds=self._own.monotonic() - at)

    def monotonic(self) -> float:
        return self._own.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._own.sleep(seconds)

    async def find(
        self, client: Client, resource: Resource, name: str, *, namespace: str | None = None
    ) -> bool:
        """Take the time from the answer to a GET of that object; returns whether there was one.

        Any answer will do. One without a date, which no real server gives, leaves us our own time.
        """
        try:
            await client.get(resource, name, namespace=namespace)
        except ApiError as error:
            log.info("asked the API server for the time: %s", error)
            if not error.status:
                return False
        shown = client.date or self._own.now()
        self._anchor = shown, self._own.monotonic()
        self._tell(self._own.now() - shown)
        return True

    def _tell(self, wrong: timedelta) -> None:
        if abs(wrong) > TOLD:
            log.warning(
                "the wall clock of this machine differs from the API server's by %+.0f s: instants "
                "in the status of jobs are the API server's",
                wrong.total_seconds(),
            )
