"""Metrics and probes over plain HTTP: `/metrics`, `/livez`, `/readyz`."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from spot_operator.observability.health import Verdict
from spot_operator.observability.metrics import CONTENT_TYPE

__all__ = ["ObservabilityServer"]

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
        self._host = host
        self._port = port

    async def start(self) -> int:
        """Listen; returns the port, which the system chose if 0 was asked for."""
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close every connection."""
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
