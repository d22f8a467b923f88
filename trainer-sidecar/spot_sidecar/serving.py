"""Serves aiohttp applications: the trainer's on the Unix socket, the pod's on TCP."""

from pathlib import Path

from aiohttp import web

from spot_sidecar.paths import GROUP_FILE
from spot_sidecar.visitors import VisitedSite, Visitors

__all__ = ["serve_pod", "serve_trainer"]

STOP_SECONDS = 0.5


async def serve_trainer(app: web.Application, socket: Path) -> web.AppRunner:
    """On the socket, which the pod's group may use; the caller cleans the runner up."""
    runner = await _set_up(app)
    await web.UnixSite(runner, str(socket)).start()
    socket.chmod(GROUP_FILE)  # noqa: ASYNC240 - a call on memory
    return runner


async def serve_pod(
    app: web.Application, host: str | None, port: int, visitors: Visitors
) -> web.AppRunner:
    """On a TCP port, at every address of the pod if `host` is None; clean the runner up."""
    runner = await _set_up(app)
    await VisitedSite(runner, host, port, visitors).start()
    return runner


async def _set_up(app: web.Application) -> web.AppRunner:
    # A client that goes must not leave its long poll or its session behind.
    runner = web.AppRunner(
        app, handler_cancellation=True, access_log=None, shutdown_timeout=STOP_SECONDS
    )
    await runner.setup()
    return runner
