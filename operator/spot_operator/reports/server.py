"""The HTTPS server that sidecars report to: one route, keep-alive, and a bound on everything.

Whoever reaches the port may try: what a connection may hold of us is bounded in number, time and
memory. One that has not brought an accepted report is a stranger's (`control.door`). Sidecars keep
theirs, the newest few of each pod.
"""

import asyncio
import ssl
from collections import OrderedDict
from itertools import count
from typing import Final, Protocol
from weakref import WeakKeyDictionary

from aiohttp import web

from spot_operator.control.door import Door, Strangers, abort
from spot_operator.reports.receiver import Answer
from spot_operator.reports.schema import MAX_REPORT_BYTES

__all__ = ["PATH", "ReportsServer", "reports_app"]

PATH: Final = "/v1/reports"
KEEP_ALIVE_SECONDS: Final = 75.0
"""Longer than four report intervals: a connection lives as long as its pod."""
CLOSE_SECONDS: Final = 1.0
"""What a request under way gets when the server stops; the sidecar sends it again."""
BODY_SECONDS: Final = 8.0
"""For the body of a report; a sidecar gives up after as long."""
HANDSHAKE_SECONDS: Final = 8.0
STRANGER_SECONDS: Final = 20.0
"""From the handshake to the first report that is accepted; a review of the token may be in it."""
MAX_HANDSHAKES: Final = 128
"""At a time; more wait in the kernel's queue."""
MAX_STRANGERS: Final = 256
"""At a time, each with a body of at most 256 KiB: 64 MiB."""
CONNECTIONS_OF_ONE_POD: Final = 3
"""A sidecar needs one, and has another for a moment when it connects again."""
MAX_PODS: Final = 20_000
"""As many as the report book knows."""
_ACCEPTED: Final = frozenset({200, 409})
"""What only a pod of ours is answered."""


class Receives(Protocol):
    """Whoever takes reports."""

    async def receive(self, token: str, body: bytes) -> Answer:
        """Answer one POST."""
        ...


class _Heard:
    """Connections that have, by pod, the newest last; those that are closed go by themselves."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, WeakKeyDictionary[asyncio.BaseTransport, int]] = OrderedDict()
        self._reports = count()

    def of(self, pod: str, transport: asyncio.BaseTransport | None) -> None:
        """The pod was heard over it."""
        if transport is None:
            return
        mine = self._of.setdefault(pod, WeakKeyDictionary())
        for gone in [one for one in mine if one.is_closing()]:
            del mine[gone]
        mine[transport] = next(self._reports)
        self._of.move_to_end(pod)
        for old in sorted(mine, key=mine.__getitem__)[:-CONNECTIONS_OF_ONE_POD]:
            del mine[old]
            abort(old)
        while len(self._of) > MAX_PODS:
            self._of.popitem(last=False)


def reports_app(receiver: Receives, strangers: Strangers | None = None) -> web.Application:
    """The application; a malformed request never reaches the receiver."""
    heard = _Heard()

    async def post(request: web.Request) -> web.Response:
        token = _bearer(request)
        # Without a token nothing is read.
        body = await _body(request) if token else b""
        answer = _TOO_SLOW if body is None else await receiver.receive(token, body)
        if strangers is not None and answer.status in _ACCEPTED:
            strangers.known(request.transport)
            heard.of(answer.pod, request.transport)
        response = web.json_response(answer.body, status=answer.status)
        if answer.status in {401, 408, 413, 503}:
            # Unread data, or another replica to go to: either way this connection is of no use.
            response.force_close()
        return response

    app = web.Application(client_max_size=MAX_REPORT_BYTES)
    app.router.add_post(PATH, post)
    return app


_TOO_SLOW: Final = Answer(408, {"error": f"send a report within {BODY_SECONDS:.0f} s"})


async def _body(request: web.Request) -> bytes | None:
    """One byte more than allowed if it is too large; None if it does not come in time."""
    parts: list[bytes] = []
    left = MAX_REPORT_BYTES + 1
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while left and not request.content.at_eof():
                parts.append(await request.content.read(left))
                left -= len(parts[-1])
    except TimeoutError:
        return None
    return b"".join(parts)


class ReportsServer:
    """Listens on `port` with the certificate in `context`, which may be renewed in place."""

    def __init__(
        self, receiver: Receives, context: ssl.SSLContext, *, host: str, port: int
    ) -> None:
        self._strangers = Strangers(MAX_STRANGERS, STRANGER_SECONDS)
        self._runner = web.AppRunner(
            reports_app(receiver, self._strangers),
            handle_signals=False,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            shutdown_timeout=CLOSE_SECONDS,
            # A small body could stand for a large one.
            auto_decompress=False,
        )
        self._door = Door(
            self._strangers,
            handshakes=MAX_HANDSHAKES,
            context=context,
            handshake_seconds=HANDSHAKE_SECONDS,
        )
        self._host = host
        self._port = port

    @property
    def strangers(self) -> int:
        """How many connections have not brought an accepted report."""
        return len(self._strangers)

    async def start(self) -> int:
        """Listen; returns the port, which the system chose if 0 was asked for."""
        await self._runner.setup()
        serve = self._runner.server
        if serve is None:
            raise RuntimeError("aiohttp's runner was set up and has no server")
        return self._door.open(serve, self._host, self._port)

    async def stop(self) -> None:
        """Close every connection, at the latest after a second."""
        await self._door.close()
        await self._runner.cleanup()


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
