"""Metrics and probes over plain HTTP: `/metrics`, `/livez`, `/readyz`.

Every pod of the cluster may reach the port: connections are few and none stays long, so whoever
scrapes less often than that opens a new connection.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from spot_operator.control.door import Door, Strangers
from spot_operator.observability.health import Verdict
from spot_operator.observability.metrics import CONTENT_TYPE

__all__ = ["ObservabilityServer"]

MAX_CONNECTIONS: Final = 64
"""At a time; kubelets and scrapers need one each."""
CONNECTION_SECONDS: Final = 67.0
"""Of each; no multiple of how far apart scrapes usually are, so that it ends between two."""

Handler = Callable[[web.Request], Awaitable[web.Response]]


class ObservabilityServer:
    """Answers from functions, which are called on every request."""

    def __init__(
        self,
        *,
        metrics: Callable[[], bytes],
        alive: Callable[[], Verdict],
        ready: Callable[[], Verdict],
        host: str,
        port: int,
    ) -> None:
        app = web.Application()
        app.router.add_get("/metrics", _metrics(metrics))
        app.router.add_get("/livez", _probe(alive))
        app.router.add_get("/readyz", _probe(ready))
        self._runner = web.AppRunner(
            app, handle_signals=False, access_log=None, shutdown_timeout=1.0
        )
        self._door = Door(
            Strangers(MAX_CONNECTIONS, CONNECTION_SECONDS), handshakes=MAX_CONNECTIONS
        )
        self._host = host
        self._port = port

    async def start(self) -> int:
        """Listen; returns the port, which the system chose if 0 was asked for."""
        await self._runner.setup()
        serve = self._runner.server
        if serve is None:
            raise RuntimeError("aiohttp's runner was set up and has no server")
        return self._door.open(serve, self._host, self._port)

    async def stop(self) -> None:
        """Close every connection."""
        await self._door.close()
        await self._runner.cleanup()


def _metrics(read: Callable[[], bytes]) -> Handler:
    async def get(_: web.Request) -> web.Response:
        return web.Response(body=read(), headers={"Content-Type": CONTENT_TYPE})

    return get


def _probe(judge: Callable[[], Verdict]) -> Handler:
    async def get(_: web.Request) -> web.Response:
        verdict = judge()
        return web.Response(text=verdict.why + "\n", status=200 if verdict.good else 503)

    return get
