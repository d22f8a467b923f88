"""The operator's Deployment: real `Operator`s, restarted when they end, killed at will."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

from kit.clock import FakeClock
from kit.fakeapi import FakeApiServer, Process
from kit.fakeapi.faults import Act, Match
from spot_operator.app import Operator
from spot_operator.control.errors import NotLeader
from spot_operator.control.lease import LostLease
from spot_operator.control.resource import ENDPOINTSLICES
from spot_operator.settings import Settings

__all__ = ["NAMESPACE", "Replica", "Replicas"]

NAMESPACE = "spot-system"
RESTART_SECONDS = 1.0
ANSWER_SECONDS = 5.0


class Replica:
    """One pod of the Deployment: its process is another after each crash, its address is not."""

    def __init__(
        self, number: int, server: FakeApiServer, clock: FakeClock, **settings: Any
    ) -> None:
        self.address = f"10.0.0.{number}"
        self.faults: list[Exception] = []
        """What it died of, other than of losing the lease."""
        self.on_start: Callable[[Replica], None] = lambda _: None
        """Called with each new process, before it runs."""
        self.wanted = True
        self.skew = 0.0
        """Seconds by which the wall clock of its next process is wrong."""
        self._met: list[tuple[Match, Act | None, Act | None]] = []
        self._name = f"{settings.get('lease_name', 'operator')}-{number}"
        self._server = server
        self._clock = clock
        self._chosen = settings
        self._lives = itertools.count(1)
        self.process = Process(f"{self._name}.0", server)
        self.operator: Operator | None = None
        self.life: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Live, die, be restarted, for ever."""
        while True:
            while not self.wanted:
                await self._clock.sleep(RESTART_SECONDS)
            name = f"{self._name}.{next(self._lives)}"
            self.process = Process(name, self._server, skew=self.skew)
            for match, before, after in self._met:
                self.process.client.faults.on(match, before=before, after=after)
            self.on_start(self)
            self.operator = Operator(
                self.process.client, self.process.clock, self.process.entropy, self._settings()
            )
            self.life = self.process.spawn(self.operator.run())
            await asyncio.wait({self.life})
            self._note(self.life)
            self.operator = None
            await self._clock.sleep(RESTART_SECONDS)

    def meet(self, match: Match, before: Act | None, after: Act | None = None) -> None:
        """A fault of this life's calls and of those of all lives to come."""
        self._met.append((match, before, after))
        self.process.client.faults.on(match, before=before, after=after)

    def end_gracefully(self) -> None:
        """SIGTERM: its program is cancelled, and may still speak."""
        assert self.life is not None
        self.life.cancel()

    def set_clock(self, skew: float) -> None:
        """Put the wall clock of its machine wrong by `skew` seconds, from now on."""
        self.skew = self.process.clock.skew = skew

    def leads(self) -> bool:
        """Whether it does now."""
        return self.operator is not None and self.operator.lease.is_leader()

    def _note(self, life: "asyncio.Task[None]") -> None:
        fault = None if life.cancelled() else life.exception()
        if isinstance(fault, BaseExceptionGroup):
            _, rest = fault.split((LostLease, NotLeader))
            fault = rest
        if isinstance(fault, Exception):
            self.faults.append(fault)

    def _settings(self) -> Settings:
        usual = {"namespace": NAMESPACE, "sidecar_image": "sidecar:1"}
        return Settings(**{**usual, "pod_name": self._name, "pod_ip": self.address, **self._chosen})


class Replicas:
    """All of them, and the Service that leads to the leader. `settings` differ from the usual."""

    def __init__(
        self, server: FakeApiServer, clock: FakeClock, count: int, **settings: Any
    ) -> None:
        self._server = server
        self._clock = clock
        self.all = [Replica(number, server, clock, **settings) for number in range(1, count + 1)]

    async def run(self) -> None:
        """Run every replica."""
        await asyncio.gather(*(replica.run() for replica in self.all))

    def leader(self) -> Replica | None:
        """Who leads now; None when nobody does."""
        return next((replica for replica in self.all if replica.leads()), None)

    async def report(self, token: str, body: bytes, trusted: str | None) -> int | None:
        """As through the Service: to the address in the EndpointSlice, if its certificate is known
        by those that are `trusted`; None: whoever's it is."""
        replica = self._published()
        if replica is None or replica.operator is None or replica.process.paused:
            return None
        if trusted is not None and not _is_known(replica.operator, trusted):
            return None
        process = replica.process
        handling = process.spawn(replica.operator.receive(token, body))
        await asyncio.wait({handling}, timeout=ANSWER_SECONDS)
        if not handling.done() or handling.cancelled():
            handling.cancel()
            return None
        fault = handling.exception()
        if fault is not None:
            # The real server answers 500 for it; no report may ever lead there.
            replica.faults.append(RuntimeError(f"a report was not handled: {fault!r}"))
            return None
        status: int = handling.result().status
        return status

    def _published(self) -> Replica | None:
        for piece in self._server.objects(ENDPOINTSLICES, NAMESPACE):
            if not (piece["metadata"].get("labels") or {}).get("kubernetes.io/service-name"):
                continue
            addresses = [one for each in piece["endpoints"] or () for one in each["addresses"]]
            return next((one for one in self.all if one.address in addresses), None)
        return None


def _is_known(operator: Operator, trusted: str) -> bool:
    """Whether the certificate that the operator serves was signed by one of those."""
    authority = operator.tls._authority
    return authority is not None and authority.signer.certificate.decode() in trusted
