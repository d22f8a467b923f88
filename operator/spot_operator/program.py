"""The operator as a process: real clocks, the network, and the servers around one `Operator`."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

from spot_operator import __version__
from spot_operator.api import names
from spot_operator.app import Operator
from spot_operator.control import credentials
from spot_operator.control.clock import SystemClock, SystemEntropy
from spot_operator.control.http_client import HttpClient
from spot_operator.observability.health import Verdict, alive, ready
from spot_operator.observability.server import ObservabilityServer
from spot_operator.reports.server import ReportsServer
from spot_operator.settings import Settings

__all__ = ["Program", "any_address"]

log = logging.getLogger(__name__)


def any_address(pod_ip: str) -> str:
    """All addresses of a pod, of the family that it is known by; network policies guard them."""
    return "::" if ip_address(pod_ip).version == 6 else "0.0.0.0"  # noqa: S104


class Program:
    """One replica in a process. `start` it, await `ended`, `stop` it in any case."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ended = asyncio.Event()
        """Set when the replica ended by itself: it lost the lease, or something is very wrong."""
        self.fault: BaseException | None = None
        """What it ended of."""
        self._operator: Operator | None = None
        self._life: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, listen, and stand by to lead.

        Raises:
            CredentialsError: there is no cluster to work on.
            OSError: a port is taken.
        """
        started = asyncio.Event()
        self._life = asyncio.create_task(self._live(started), name="operator")
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait({self._life, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._life.done():
            self._life.result()

    async def stop(self) -> None:
        """Hand over and end; at the latest a few seconds later."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)

    def alive(self) -> Verdict:
        """For the liveness probe."""
        if self._operator is None:
            return Verdict(good=True, why="starting")
        return alive(self._operator.facts())

    def look_at(self, namespace: str, name: str) -> None:
        """Have a job looked at soon."""
        if self._operator is not None:
            self._operator.look_at(namespace, name)

    async def _live(self, started: asyncio.Event) -> None:
        clock = SystemClock()
        connection = await credentials.load(
            clock,
            kubeconfig=self.settings.kubeconfig or None,
            context=self.settings.context or None,
        )
        agent = f"{names.FIELD_MANAGER}/{__version__}"
        async with HttpClient(connection, user_agent=agent) as client:
            operator = self._operator = Operator(client, clock, SystemEntropy(), self.settings)
            async with _serving(operator, self.settings):
                started.set()
                await self._run(operator)

    async def _run(self, operator: Operator) -> None:
        try:
            await operator.run()
        except Exception as fault:
            self.fault = fault
            log.exception("the operator ends")
            raise
        finally:
            self.ended.set()


@asynccontextmanager
async def _serving(operator: Operator, settings: Settings) -> AsyncIterator[None]:
    """Listen for reports, probes and scrapes."""
    address = any_address(settings.pod_ip)
    reports = ReportsServer(
        operator, operator.tls.context, host=address, port=settings.reports_port
    )
    own = ObservabilityServer(
        metrics=operator.exposition,
        alive=lambda: alive(operator.facts()),
        ready=lambda: ready(operator.facts()),
        host=address,
        port=settings.metrics_port,
    )
    try:
        await reports.start()
        await own.start()
        yield
    finally:
        await own.stop()
        await reports.stop()
