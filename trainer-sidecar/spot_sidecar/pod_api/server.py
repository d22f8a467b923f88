"""Serves the pod's API on TCP."""

from aiohttp import web

from spot_sidecar.base.serving import set_up
from spot_sidecar.pod_api.connections import ConnectionLimit, LimitedSite

__all__ = ["serve_pod"]


async def serve_pod(
    app: web.Application, host: str | None, port: int, connections: ConnectionLimit
) -> web.AppRunner:
    """On a TCP port, at every address of the pod if `host` is None; clean the runner up."""
    runner = await set_up(app)
    await LimitedSite(runner, host, port, connections).start()
    return runner
