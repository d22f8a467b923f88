"""Polls a source of notices: how often it is asked, its back-off, its health.

What a source says, and how it is asked, is in its own file; `registry` names them all.
"""

import logging
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

import aiohttp

from spot_sidecar.base.clock import Clock
from spot_sidecar.base.entropy import Entropy
from spot_sidecar.notices.health import Health
from spot_sidecar.notices.notice import Notice

__all__ = ["Poller", "Source"]

log = logging.getLogger(__name__)

REQUEST_SECONDS: Final = 2.0
"""A metadata service answers in milliseconds or not at all."""
POLL_SECONDS: Final = (2.0, 2.6)
"""AWS advises every 5 s and throttles per instance; 2 s is what its own handler does. Below 3 s
together with the request, so that a trainer knows within 3 s; jittered as pods share a node."""
BACK_OFF_LIMIT: Final = 30.0
"""A service that is silent is still asked this often: it may come back with a notice."""


class Source(Protocol):
    """A service in or beside the node that announces its end."""

    name: str
    """In notices, reports and metrics."""
    silence: str
    """What it may mean that the service does not answer."""

    def notices(self, session: aiohttp.ClientSession) -> AsyncIterator[Notice]:
        """Ask once: everything that is announced now.

        Raises TimeoutError, aiohttp.ClientError, OSError, or ValueError for an answer that cannot
        be read.
        """
        ...


class Poller:
    """Polls one source until it is cancelled.

    `tell` gets each notice every time it is seen; `report` gets the source's name and its health
    whenever that changes.
    """

    def __init__(
        self,
        source: Source,
        clock: Clock,
        tell: Callable[[Notice], object],
        report: Callable[[str, Health], object],
        entropy: Entropy,
    ) -> None:
        self._source = source
        self._clock = clock
        self._tell = tell
        self._report = report
        self._entropy = entropy
        self._health: Health | None = None
        self._failures = 0

    async def run(self) -> None:
        """Poll until cancelled."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        connector = aiohttp.TCPConnector(limit=1)  # metadata services limit the connections
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            while True:
                await self.poll(session)
                await self._clock.sleep(self._pause())

    async def poll(self, session: aiohttp.ClientSession) -> None:
        """Ask once for everything; never raises but when cancelled."""
        try:
            async for notice in self._source.notices(session):
                self._tell(notice)
        except TimeoutError:
            self._failed(self._source.silence)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self._failed(f"{type(error).__name__}: {error}")
        else:
            self._failures = 0
            self._say(Health(healthy=True))

    def _failed(self, detail: str) -> None:
        self._failures += 1
        self._say(Health(healthy=False, detail=detail))

    def _say(self, health: Health) -> None:
        if health == self._health:
            return
        if not health.healthy or self._health is not None:
            facts = {"source": self._source.name, "healthy": health.healthy}
            log.info("source of notices", extra={**facts, "detail": health.detail})
        self._health = health
        self._report(self._source.name, health)

    def _pause(self) -> float:
        pause = self._entropy.uniform(*POLL_SECONDS)
        if self._failures:
            limit = self._entropy.uniform(0.8 * BACK_OFF_LIMIT, BACK_OFF_LIMIT)
            pause = min(limit, pause * float(2 ** min(self._failures - 1, 8)))
        return pause
