"""The trainer's start: session, resume, resumed."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from spot_training import progress

from spot_sidecar.config.paths import GROUP_FILE, Paths
from spot_sidecar.config.spot_config import Config
from spot_sidecar.interval.pacing import Pacing
from spot_sidecar.resume.attempt_start import AttemptStart, Loaded
from spot_sidecar.trainer_api.requests import Register, Resume, Resumed, read_body, read_query
from spot_sidecar.trainer_watch.sessions import Sessions

__all__ = ["StartRoutes"]


@dataclass(frozen=True, slots=True)
class StartRoutes:
    """Tells each process who it is and what it begins with."""

    sessions: Sessions
    attempt_start: AttemptStart
    pacing: Pacing
    config: Config
    paths: Paths

    def routes(self) -> list[web.RouteDef]:
        """Session, resume, resumed."""
        return [
            web.get("/v1/session", self.session),
            web.post("/v1/resume", self.resume),
            web.post("/v1/resumed", self.resumed),
        ]

    async def session(self, request: web.Request) -> web.StreamResponse:
        """One line, then one for each change of the interval, for as long as either side lives."""
        process = read_query(request, Register).process
        create_progress_file(self.paths.progress(process))
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        with self.sessions.joined(process):
            await response.prepare(request)
            await response.write(json.dumps(self._greeting(process)).encode() + b"\n")
            # The client's end cancels this handler; the server's end closes the connection.
            await self._tell_changes(response)
        return response

    async def _tell_changes(self, response: web.StreamResponse) -> None:
        while True:
            beat = self.pacing.changes.beat
            await self.pacing.changes.beyond(beat)
            await response.write(json.dumps(self._pace()).encode() + b"\n")

    async def resume(self, request: web.Request) -> web.Response:
        """What to begin with; 202 while it is not decided."""
        asked = await read_body(request, Resume)
        decision = await self.attempt_start.answer(asked.process, asked.wait, asked.container)
        if decision is None:
            return web.json_response(
                {"state": "waiting", "why": self.attempt_start.why}, status=202
            )
        return web.json_response(decision.to_json())

    async def resumed(self, request: web.Request) -> web.Response:
        """What the process holds after loading, compared with the checkpoint (V5)."""
        said = await read_body(request, Resumed)
        self.attempt_start.loaded(
            Loaded(said.process, said.step, said.verified, tuple(said.differs), said.seconds)
        )
        return web.json_response({})

    def _greeting(self, process: int) -> dict[str, object]:
        return {
            "attempt": self.config.attempt,
            "rank": self.config.rank,
            **self._pace(),
            "sharedDir": str(self.paths.shared),
            "noticePath": str(self.paths.notice),
            "progressPath": str(self.paths.progress(process)),
            "countersPath": str(self.paths.counters),
        }

    def _pace(self) -> dict[str, object]:
        return {"interval": self.pacing.seconds, "saveSeconds": self.pacing.cost}


def create_progress_file(path: Path) -> None:
    """Make the process's progress file, so that it is in the group that both sides are in."""
    descriptor = progress.open_or_create(path, GROUP_FILE)
    try:
        if os.fstat(descriptor).st_size == 0:
            os.fchmod(descriptor, GROUP_FILE)
            os.ftruncate(descriptor, progress.BYTES)
    finally:
        os.close(descriptor)
