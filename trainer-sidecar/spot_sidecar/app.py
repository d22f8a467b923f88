"""The sidecar's process: one pod, and the attempt that its configuration names.

Order at the start: the socket, then the TCP port (its health answers the startup probe, so that a
trainer never starts without the socket), then everything that may wait for others.
"""

import asyncio
import logging
from typing import Any

from aiohttp import web

from spot_sidecar.attempt import Attempt
from spot_sidecar.base.clock import Clock
from spot_sidecar.base.entropy import Entropy
from spot_sidecar.config.spot_config import Settings
from spot_sidecar.pod import Pod
from spot_sidecar.pod_api.connections import ConnectionLimit
from spot_sidecar.pod_api.routes import build_pod_app
from spot_sidecar.pod_api.server import serve_pod

__all__ = ["Sidecar"]

log = logging.getLogger(__name__)


class Sidecar:
    """One pod's sidecar."""

    def __init__(self, settings: Settings, clock: Clock, entropy: Entropy) -> None:
        self.settings = settings
        self.pod = Pod(settings, clock, entropy)
        self.attempt = Attempt(self.pod, settings.config)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set (the trainer has ended), then bring in what is under way."""
        self.pod.open()
        runners = [await self.attempt.serve(), await self._serve_pod()]
        log.info("serving", extra={"socket": str(self.settings.paths.socket)})
        works = self.pod.works() | self.attempt.works()
        tasks = [asyncio.create_task(work, name=name) for name, work in works.items()]
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
            _raise_what_failed(tasks)
            await self.attempt.bring_in()
            await self.pod.report_once_more()
        finally:
            self.pod.witness.stop()
            await self._end([*tasks, stopped], runners)

    async def _end(self, tasks: list[asyncio.Task[Any]], runners: list[web.AppRunner]) -> None:
        self.attempt.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for runner in runners:
            await runner.cleanup()
        await self.pod.close()

    async def _serve_pod(self) -> web.AppRunner:
        settings, connections = self.settings, ConnectionLimit()
        app = build_pod_app(
            self.attempt.drain,
            self.pod.metrics,
            connections,
            drain_token=settings.config.drain_token,
            ready=self.attempt.ready,
        )
        return await serve_pod(app, settings.host, settings.port, connections)


def _raise_what_failed(tasks: list[asyncio.Task[Any]]) -> None:
    """A part that ended is a fault: end as well, be restarted, and go on from the journal."""
    for task in tasks:
        if task.done() and not task.cancelled():
            error = task.exception()
            raise error or RuntimeError(f"{task.get_name()} has ended")
