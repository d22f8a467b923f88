"""The TCP port, reachable from outside the pod: drain hook, health, metrics. Nothing else."""

import hmac
from collections.abc import Callable

from aiohttp import web

from spot_sidecar.observability.metrics import CONTENT_TYPE, Metrics
from spot_sidecar.pod_api.connections import ConnectionLimit
from spot_sidecar.pod_api.drain import Drain

__all__ = ["build_pod_app"]

DRAIN_HEADER = "X-Spot-Drain"


def build_pod_app(
    drain: Drain,
    metrics: Metrics,
    connections: ConnectionLimit,
    *,
    drain_token: str,
    ready: Callable[[], bool],
) -> web.Application:
    """The application; only the caller who knows the token can drain.

    `ready`: whether the trainer's container may start, which the startup probe holds back.
    """

    async def call_drain(request: web.Request) -> web.Response:
        # Whatever bytes a stranger sends.
        given = request.headers.get(DRAIN_HEADER, "").encode(errors="surrogateescape")
        if not hmac.compare_digest(given, drain_token.encode()):
            return web.json_response({"error": f"{DRAIN_HEADER} is not this pod's"}, status=403)
        connections.let_stay(request.transport)
        return web.json_response({"drained": await drain.drain()})

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"ok": ready()}, status=200 if ready() else 503)

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/v1/drain", call_drain)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/metrics", show_metrics)
    return app
