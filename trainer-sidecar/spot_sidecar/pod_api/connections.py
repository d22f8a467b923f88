"""A bound on the connections to the pod's port, which every pod of the cluster may reach.

What they hold is this container's memory; beyond its limit the last save would be lost with it.
There are few at a time, the oldest goes first, and none stays long. The kubelet's drain, which
lasts until everything is stored, stays as long as it needs.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from aiohttp import web

__all__ = ["MAX_CONNECTIONS", "ConnectionLimit", "LimitedSite"]

MAX_CONNECTIONS: Final = 64
"""At a time, each with a request of at most a few KiB."""
CONNECTION_SECONDS: Final = 20.0
"""From the connection to its end: a probe and a scrape take one."""


class ConnectionLimit:
    """The connections that may be ended, the oldest first."""

    def __init__(self, limit: int = MAX_CONNECTIONS, seconds: float = CONNECTION_SECONDS) -> None:
        self._limit = limit
        self._seconds = seconds
        self._since: OrderedDict[asyncio.BaseTransport, asyncio.TimerHandle] = OrderedDict()

    def arrived(self, transport: asyncio.BaseTransport) -> None:
        """A connection was made."""
        while len(self._since) >= self._limit:
            self._send_away(next(iter(self._since)))
        loop = asyncio.get_running_loop()
        self._since[transport] = loop.call_later(self._seconds, self._send_away, transport)

    def let_stay(self, transport: asyncio.BaseTransport | None) -> None:
        """It may stay as long as it likes, or is gone."""
        timer = None if transport is None else self._since.pop(transport, None)
        if timer is not None:
            timer.cancel()

    def __len__(self) -> int:
        return len(self._since)

    def _send_away(self, transport: asyncio.BaseTransport) -> None:
        self.let_stay(transport)
        if isinstance(transport, asyncio.WriteTransport):
            # Not `close`: it would wait for the other side to take what is written.
            transport.abort()


class _LimitedConnection(asyncio.Protocol):
    """One connection: what comes is for `inner`."""

    def __init__(self, inner: asyncio.Protocol, connections: ConnectionLimit) -> None:
        self._inner = inner
        self._connections = connections
        self._transport: asyncio.BaseTransport | None = None
        self.data_received = inner.data_received  # type: ignore[method-assign]
        self.eof_received = inner.eof_received  # type: ignore[method-assign]
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._connections.arrived(transport)
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.let_stay(self._transport)
        self._inner.connection_lost(exc)


class LimitedSite(web.TCPSite):
    """A TCP port that bounds its connections."""

    def __init__(
        self, runner: web.AppRunner, host: str | None, port: int, connections: ConnectionLimit
    ) -> None:
        super().__init__(runner, host, port)
        self._connections = connections

    async def start(self) -> None:
        """Listen."""
        # As a TCPSite, but for what it makes of a connection.
        await super(web.TCPSite, self).start()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._factory(), self._host, self._port, backlog=self._backlog
        )

    def _factory(self) -> Callable[[], asyncio.Protocol]:
        server = self._runner.server
        if server is None:
            raise RuntimeError("set the runner up before the site is started")
        return lambda: _LimitedConnection(server(), self._connections)
