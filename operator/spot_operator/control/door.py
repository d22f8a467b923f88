"""A listening port that bounds what connections may hold of us: their number and their time.

Whoever reaches a port may open connections, and aiohttp keeps one that says nothing for ever. Here
one that is nobody's yet is a stranger's: there are few of those at a time and none stays long. Of
too many the oldest goes, of the address that has the most, so that no crowd shuts others out.
"""

import asyncio
import socket
import ssl
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

__all__ = ["Door", "Strangers", "abort"]

_BACKLOG: Final = 1024
_PAUSE: Final = 0.2
"""Before the next try to accept, where one has failed."""


class Strangers:
    """At most `most` connections, each for at most `seconds`, the oldest first."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._there: OrderedDict[asyncio.BaseTransport, tuple[str, asyncio.TimerHandle]] = (
            OrderedDict()
        )

    def arrived(self, transport: asyncio.BaseTransport) -> None:
        """A connection was made."""
        if len(self._there) >= self._most:
            for gone in [one for one in self._there if one.is_closing()]:
                self.known(gone)
        while len(self._there) >= self._most:
            self._send_away(self._superfluous())
        timer = asyncio.get_running_loop().call_later(self._seconds, self._send_away, transport)
        self._there[transport] = (_address(transport), timer)

    def known(self, transport: asyncio.BaseTransport | None) -> None:
        """It is not a stranger's any longer, or it is closed."""
        found = None if transport is None else self._there.pop(transport, None)
        if found is not None:
            found[1].cancel()

    def __len__(self) -> int:
        return len(self._there)

    def _superfluous(self) -> asyncio.BaseTransport:
        ((crowd, _),) = Counter(address for address, _ in self._there.values()).most_common(1)
        return next(one for one, (address, _) in self._there.items() if address == crowd)

    def _send_away(self, transport: asyncio.BaseTransport) -> None:
        self.known(transport)
        abort(transport)


class Door:
    """Accepts connections for `serve`, at most `handshakes` at a time in the making."""

    def __init__(
        self,
        strangers: Strangers,
        *,
        handshakes: int,
        context: ssl.SSLContext | None = None,
        handshake_seconds: float | None = None,
    ) -> None:
        self._strangers = strangers
        self._context = context
        self._handshake_seconds = handshake_seconds
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._making: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(handshakes)

    def open(self, serve: Callable[[], Any], host: str, port: int) -> int:
        """Listen; returns the port, which the system chose if 0 was asked for."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        self._listener.settimeout(0)
        self._accepting = asyncio.create_task(self._accept(serve, self._listener), name="door")
        return int(self._listener.getsockname()[1])

    async def close(self) -> None:
        """Accept nothing more, and give up what is in the making."""
        tasks = [*self._making, *([self._accepting] if self._accepting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()

    async def _accept(self, serve: Callable[[], Any], listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._free.acquire()
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:
                # No file descriptor is left, or the other side is gone already.
                self._free.release()
                await asyncio.sleep(_PAUSE)
                continue
            task = asyncio.create_task(self._greet(serve, connection))
            self._making.add(task)
            task.add_done_callback(self._greeted)

    def _greeted(self, task: "asyncio.Task[None]") -> None:
        self._making.discard(task)
        self._free.release()

    async def _greet(self, serve: Callable[[], Any], connection: socket.socket) -> None:
        """The handshake, if any; whatever is wrong with it is the other side's."""
        loop = asyncio.get_running_loop()
        with suppress(OSError, TimeoutError):
            transport, _ = await loop.connect_accepted_socket(
                serve,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=self._handshake_seconds,
            )
            self._strangers.arrived(transport)


def abort(transport: asyncio.BaseTransport) -> None:
    """End a connection at once."""
    if isinstance(transport, asyncio.WriteTransport) and not transport.is_closing():
        # Not `close`: it would wait for the other side to take what is written.
        transport.abort()


def _address(transport: asyncio.BaseTransport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if peer else ""
