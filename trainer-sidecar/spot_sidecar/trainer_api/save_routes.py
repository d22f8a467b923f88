"""The trainer's snapshots: arenas, hand-over, progress, completion."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from spot_sidecar.shared_memory.arenas import (
    Arenas,
    ArenasInUseError,
    ArenaSlot,
    StagingTooSmallError,
)
from spot_sidecar.snapshots.completion import Completion
from spot_sidecar.snapshots.intake import HandOver, Intake, RefusedError
from spot_sidecar.snapshots.snapshot import Snapshot, State
from spot_sidecar.snapshots.stages import Stages
from spot_sidecar.snapshots.uploads import Uploads
from spot_sidecar.state.attempt_state import AttemptState
from spot_sidecar.trainer_api.requests import (
    Acquire,
    Allocate,
    Complete,
    Flush,
    Submit,
    Waiting,
    read_body,
    read_query,
)

__all__ = ["SaveRoutes"]

LARGER_SECONDS = 20.0
"""How long larger arenas wait for the upload of what lies in the smaller ones."""


@dataclass(frozen=True, slots=True)
class SaveRoutes:
    """Answers what a process asks on its way from a state to a checkpoint."""

    arenas: Arenas
    intake: Intake
    uploads: Uploads
    stages: Stages
    completion: Completion
    attempt_state: AttemptState
    works: Callable[[int], object]
    """Called with each process that hands something over: it has begun, whatever else it shows."""

    def routes(self) -> list[web.RouteDef]:
        """Arenas, acquire, snapshots, flush, complete."""
        return [
            web.post("/v1/arenas", self.allocate),
            web.post("/v1/arenas/acquire", self.acquire),
            web.post("/v1/snapshots", self.submit),
            web.get("/v1/snapshots/{id}", self.follow),
            web.post("/v1/flush", self.flush),
            web.post("/v1/complete", self.complete),
        ]

    async def allocate(self, request: web.Request) -> web.Response:
        """Arenas of at least the asked size; 507 with both numbers if not even one fits."""
        asked = await read_body(request, Allocate)
        try:
            # Not to be cut short by a client that goes: the memory would be half allocated.
            slots = await asyncio.shield(self._provide(asked))
        except StagingTooSmallError as error:
            self.attempt_state.meet("StagingTooSmall", str(error))
            body = {"error": str(error), "needBytes": error.need, "haveBytes": error.have}
            return web.json_response(body, status=507)
        except ArenasInUseError as error:
            return web.json_response({"error": str(error)}, status=409)
        self.attempt_state.solved("StagingTooSmall")
        return web.json_response({"arenas": [_shown(slot) for slot in slots]})

    async def acquire(self, request: web.Request) -> web.Response:
        """An arena to write; 409 if all hold a snapshot (periodic: at once, else after `wait`)."""
        asked = await read_body(request, Acquire)
        index = await self.intake.acquire(asked.process, asked.reason, asked.wait)
        if index is None:
            return web.json_response({"error": "every arena holds a snapshot"}, status=409)
        return web.json_response({"index": index})

    async def submit(self, request: web.Request) -> web.Response:
        """Take over a written arena."""
        handed = await read_body(request, Submit)
        try:
            id_ = self.intake.take(_hand_over(handed))
        except RefusedError as error:
            return web.json_response({"error": str(error)}, status=409)
        self.works(handed.process)
        return web.json_response({"snapshot": id_})

    async def follow(self, request: web.Request) -> web.Response:
        """How far a snapshot is; waits up to `wait` seconds for its end."""
        wait = read_query(request, Waiting).wait
        stage = await self.stages.final(request.match_info["id"], wait)
        if stage is None:
            return _unknown()
        return web.json_response({"state": stage.state.value, "why": stage.why})

    async def flush(self, request: web.Request) -> web.Response:
        """Whether a last save can still be committed; what is under way is hurried either way."""
        asked = await read_body(request, Flush)
        self.uploads.hurry()
        return web.json_response(
            self.uploads.last_save.advise(asked.process, asked.seconds).to_json()
        )

    async def complete(self, request: web.Request) -> web.Response:
        """Mark the committed final snapshot as the job's result; 202 while it is not done."""
        asked = await read_body(request, Complete)
        stage = await self.stages.final(asked.snapshot, asked.wait)
        if stage is None:
            return _unknown()
        if not stage.state.final:
            return web.json_response({"state": stage.state.value}, status=202)
        if stage.state is not State.COMMITTED or self.attempt_state.commit is None:
            why = f"the final snapshot was not committed: {stage.state.value}, {stage.why}"
            return web.json_response({"error": why}, status=409)
        completed = await self.completion.complete(self.attempt_state.commit, asked.wait)
        if completed is None:
            return web.json_response({"state": "completing"}, status=202)
        return web.json_response(completed.to_json())

    async def _provide(self, asked: Allocate) -> tuple[ArenaSlot, ...]:
        """Arenas of that size; larger ones wait a while for the smaller ones to be free."""
        clock = self.attempt_state.clock
        end = clock.monotonic() + LARGER_SECONDS
        while True:
            beat, left = self.arenas.changes.beat, end - clock.monotonic()
            try:
                return await self.arenas.provide(asked.process, asked.bytes)
            except ArenasInUseError:
                if left <= 0:
                    raise
            await self.arenas.changes.beyond(beat, left)


def _unknown() -> web.Response:
    return web.json_response({"error": "no such snapshot: submit it again"}, status=404)


def _hand_over(handed: Submit) -> HandOver:
    def snapshot(id_: str) -> Snapshot:
        return Snapshot(
            id=id_,
            process=handed.process,
            arena=handed.arena,
            generation=handed.generation,
            bytes=handed.bytes,
            step=handed.step,
            samples=handed.samples,
            epoch=handed.epoch,
            reason=handed.reason,
            stall_seconds=handed.stall_seconds,
            taken_at=handed.taken_at,
            dataset=handed.dataset,
        )

    return HandOver(snapshot, handed.process, handed.arena, handed.step)


def _shown(slot: ArenaSlot) -> dict[str, object]:
    return {"index": slot.index, "path": str(slot.path), "bytes": slot.bytes}
