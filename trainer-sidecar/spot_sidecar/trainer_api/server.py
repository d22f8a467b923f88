"""Serves the trainer's API on the Unix socket."""

from pathlib import Path

from aiohttp import web

from spot_sidecar.base.serving import set_up
from spot_sidecar.config.paths import GROUP_FILE

__all__ = ["serve_trainer"]


async def serve_trainer(app: web.Application, socket: Path) -> web.AppRunner:
    """On the socket, which the pod's group may use; the caller cleans the runner up."""
    runner = await set_up(app)
    await web.UnixSite(runner, str(socket)).start()
    socket.chmod(GROUP_FILE)  # noqa: ASYNC240 - a call on memory
    return runner
