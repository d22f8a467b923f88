"""What lives as long as one attempt: its grant, claim, start, snapshots and retention.

Before its grant an attempt claims, chooses and writes nothing.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from aiohttp import web

from spot_sidecar.base.clock import timestamp
from spot_sidecar.cleanup.abandoned_uploads import clear_leftovers
from spot_sidecar.cleanup.retention import Retention
from spot_sidecar.config.spot_config import Config
from spot_sidecar.directory.restore import DirectoryFetch
from spot_sidecar.directory.saves import Surroundings as DirectorySurroundings
from spot_sidecar.directory.source import DirectorySource, fetch_of, source_of
from spot_sidecar.interval.pacing import Pacing, restored
from spot_sidecar.lineage.fence import Fence
from spot_sidecar.notices.notice import Kind, Notice
from spot_sidecar.pod import Pod
from spot_sidecar.pod_api.drain import Drain
from spot_sidecar.resume.attempt_start import AttemptStart
from spot_sidecar.resume.decision import Fresh, FromCheckpoint
from spot_sidecar.resume.fetch import Fetch
from spot_sidecar.resume.restore_agreement import RestoreAgreement
from spot_sidecar.resume.wiring import search_of
from spot_sidecar.snapshots.committer import Committer
from spot_sidecar.snapshots.completion import Completion
from spot_sidecar.snapshots.intake import Intake
from spot_sidecar.snapshots.stages import Stages
from spot_sidecar.snapshots.uploads import Surroundings, Uploads
from spot_sidecar.state.phase import Signs, phase_of, state_of
from spot_sidecar.state.time_buckets import Phase
from spot_sidecar.trainer_api.errors import answer_in_json
from spot_sidecar.trainer_api.notice_routes import NoticeRoutes
from spot_sidecar.trainer_api.save_routes import SaveRoutes
from spot_sidecar.trainer_api.server import serve_trainer
from spot_sidecar.trainer_api.start_routes import StartRoutes
from spot_sidecar.trainer_watch.progress_watch import ProgressWatch
from spot_sidecar.trainer_watch.sessions import Sessions

__all__ = ["Attempt"]

log = logging.getLogger(__name__)

SPARE_SECONDS = 2.0
"""Kept of the grace for the last report and the termination message."""
VERIFY_SECONDS = 5.0
"""For the check of the last commit; the next attempt checks anyway."""


class Attempt:
    """One attempt in `pod`, by its own `config`."""

    def __init__(self, pod: Pod, config: Config) -> None:
        pod.prepare(config, self)
        self.pod = pod
        self.config = config
        self._stopping = False
        """Whether the trainer has ended."""
        self.clock = pod.clock
        self.attempt_state = pod.attempt_state
        self.pacing = self._make_pacing()
        self.attempt_state.interval = self.pacing.to_json()
        pod.metrics.saw_interval(self.attempt_state.interval)
        self.stages = Stages(self.clock)
        self.sessions = Sessions(self._process_came, self._process_went)
        self.watch = ProgressWatch(
            self.attempt_state,
            pod.settings.paths,
            high_water=config.high_water_step,
            processes=self.sessions.connected_ever,
        )
        self.completion = Completion(pod.lineage, self.attempt_state, pod.reporter)
        self.fence = Fence(
            pod.lineage,
            self.attempt_state,
            journal=pod.journal,
            config=config,
            pod=pod.settings.pod,
            superseded=self._superseded,
        )
        self.fetch = self._make_fetch()
        self.attempt_start = self._make_attempt_start()
        self.watch.connect(phase=self._update_phase, works=self.attempt_start.started)
        self.intake = Intake(
            pod.arenas,
            self.stages,
            attempt_state=self.attempt_state,
            journal=pod.journal,
            metrics=pod.metrics,
        )
        committer = Committer(pod.lineage, self.fence, self.attempt_state, config, pod.settings.pod)
        self.retention = Retention(committer, pod.grants, pod.metrics, ending=self._ending)
        self.uploads = self._make_uploads(committer)
        self.drain = Drain(
            pod.bus,
            self.sessions,
            self.clock,
            grace_seconds=config.grace_seconds,
            uploads=self.intake.arrivals,
            uploads_idle=self.intake.is_idle,
            turn_away=self.attempt_start.turn_away,
        )
        self.directory = self._make_directory(committer)

    async def serve(self) -> web.AppRunner:
        """Serve the trainer's API of this attempt; the caller cleans the runner up."""
        paths = self.pod.settings.paths
        app = web.Application(middlewares=[answer_in_json], client_max_size=2**20)
        app.add_routes(
            StartRoutes(self.sessions, self.attempt_start, self.pacing, self.config, paths).routes()
        )
        app.add_routes(
            SaveRoutes(
                self.pod.arenas,
                self.intake,
                self.uploads,
                self.stages,
                self.completion,
                self.attempt_state,
                self.attempt_start.started,
            ).routes()
        )
        notices = NoticeRoutes(self.pod.bus, self.attempt_state, self.pacing.slowdown_meter)
        app.add_routes(notices.routes())
        return await serve_trainer(app, paths.socket)

    def works(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Everything that runs for as long as the attempt; none of them ever returns."""
        return {
            "attempt": self._run(),
            "uploads": self.uploads.run(),
            "watch": self.watch.run(),
            "parting": self._part(),
        }

    def ready(self) -> bool:
        """Whether the trainer's container may start: one of the SDK waits for its state itself."""
        return self.directory is None or self.directory.attempt_start.ready

    async def bring_in(self) -> None:
        """The trainer has ended: finish uploads within what is left of the grace."""
        end = self.clock.monotonic() + self.drain.grace_left - SPARE_SECONDS
        log.info("stopping", extra={"unfinished": len(self.intake.unfinished)})
        await self._finish_saving(end)
        await self.uploads.verified(min(VERIFY_SECONDS, max(0.0, end - self.clock.monotonic())))
        self.watch.update()

    def stop(self) -> None:
        """Let no thread go on with an upload."""
        self.uploads.stop()
        if self.directory:
            self.directory.saves.abandon()

    def give_up(self) -> None:
        """Another attempt follows in this pod: what is not committed by now never will be."""
        self.uploads.abandon("another attempt follows in this pod")
        self.fetch.discard()
        self.stop()

    def notice_comes(self) -> None:
        """Time so far belongs to the phase without the notice."""
        self.watch.update()

    def notice_came(self) -> None:
        """Hold no upload back any longer."""
        self.uploads.hurry()

    def outdated(self, attempt: int) -> None:  # noqa: ARG002 - the claims say which one it is
        """Look at the claims at once."""
        self.fence.check_soon()

    async def _run(self) -> None:
        """The attempt's own course: begin, then guard the claim."""
        journal = self.pod.journal
        if journal.get("nonceOfLineage"):
            self.intake.open(journal.get("nonceOfLineage"))
        if self.config.store.s3:
            await self.pod.lineage.connect()  # asks nobody; its libraries take a second to import
        await self.attempt_start.run()
        if isinstance(self.attempt_start.decision, Fresh | FromCheckpoint):
            nonce = await self.fence.nonce()
            journal.put(nonceOfLineage=nonce)
            self.intake.open(nonce)
            async with asyncio.TaskGroup() as group:
                group.create_task(self.fence.watch())
                group.create_task(self.retention.run())
                group.create_task(clear_leftovers(self.pod.lineage, self.clock, self.config))
                if self.directory:
                    group.create_task(self.directory.run(nonce))
        await asyncio.get_running_loop().create_future()

    async def _part(self) -> None:
        """The trainer has ended, and others in the pod keep the kubelet from ending this one."""
        await self.pod.trainer_ended.wait()
        log.info("the trainer has ended", extra={"unfinished": len(self.intake.unfinished)})
        await self._finish_saving(self.clock.monotonic() + self.config.grace_seconds)
        self.attempt_state.settled = True
        self.attempt_state.changed()
        await asyncio.get_running_loop().create_future()

    async def _finish_saving(self, end: float) -> None:
        """Bring in what the trainer has left, until `end` on the monotonic clock at the longest."""
        self._stopping = True
        self.uploads.hurry()
        if self.directory:
            await self.directory.saves.wait_until_idle(max(0.0, end - self.clock.monotonic()))
        await self.uploads.wait_until_idle(max(0.0, end - self.clock.monotonic()))
        await self.completion.wait_until_idle(max(0.0, end - self.clock.monotonic()))

    def _make_pacing(self) -> Pacing:
        config, known = self.config, self.pod.journal.get("pacing", {})
        begin_with = restored(config.interval, config.pacing, known)
        return Pacing(*begin_with, trained_hours=self.attempt_state.trained_hours)

    def _make_fetch(self) -> Fetch | DirectoryFetch:
        pod, paths = self.pod, self.pod.settings.paths
        if self.config.directory is None:
            return Fetch(pod.lineage, pod.arenas, paths, pod.metrics)
        return fetch_of(self.config.directory, paths, pod.lineage, pod.metrics)

    def _make_attempt_start(self) -> AttemptStart:
        config, pod = self.config, self.pod
        agreement = RestoreAgreement(config.attempt, config.rank, pod.settings.pod.node, self._now)
        search = search_of(config, pod.lineage, self.attempt_state, self.fetch, agreement)
        return AttemptStart(
            pod.grants,
            self.fence,
            search,
            self.fetch,
            attempt_state=self.attempt_state,
            journal=pod.journal,
            begins_at=self.watch.begins_at,
            turns=self.watch.turn,
        )

    def _make_uploads(self, committer: Committer) -> Uploads:
        pod, journal = self.pod, self.pod.journal
        return Uploads(
            self.intake,
            self.stages,
            committer,
            pod.lineage,
            self.pacing,
            attempt_state=self.attempt_state,
            metrics=pod.metrics,
            config=self.config,
            paths=pod.settings.paths,
            parent=lambda: self.attempt_start.parent,
            expected=lambda: journal.get("started", ()),
            surroundings=Surroundings(
                seconds_left=self._seconds_left,
                hurried=self._hurried,
                progress=self.watch.seen,
            ),
            save_costs=lambda known: journal.put(pacing=known),
        )

    def _make_directory(self, committer: Committer) -> DirectorySource | None:
        settings, pod = self.config.directory, self.pod
        if settings is None or not isinstance(self.fetch, DirectoryFetch):
            return None
        around = DirectorySurroundings(
            interval=lambda: self.pacing.seconds,
            hurried=self._hurried,
            reached=self.watch.reached,
            parent=lambda: self.attempt_start.parent,
        )
        return source_of(
            settings,
            self.fetch,
            config=self.config,
            paths=pod.settings.paths,
            grants=pod.grants,
            attempt_start=self.attempt_start,
            committer=committer,
            lineage=pod.lineage,
            journal=pod.journal,
            attempt_state=self.attempt_state,
            metrics=pod.metrics,
            around=around,
        )

    def _now(self) -> str:
        return timestamp(self.clock.now())

    def _process_came(self, process: int) -> None:  # noqa: ARG002 - any process is a life sign
        self.pod.witness.lives()

    def _process_went(self, process: int) -> None:
        self.pod.arenas.take_back(process)
        if not self.sessions.processes:
            self.pod.witness.ended()

    def _seconds_left(self) -> float | None:
        notice = self.pod.bus.in_force
        if notice is None or notice.deadline is None:
            return None
        left = (notice.deadline - self.clock.now()).total_seconds()
        return left - min(SPARE_SECONDS, left / 4)

    def _hurried(self) -> bool:
        return self._stopping or self.pod.bus.in_force is not None

    def _ending(self) -> bool:
        """Whether the pod is on its way out, with nothing but its last save to do."""
        notice = self.pod.bus.in_force
        return self._stopping or (notice is not None and notice.kind.certain)

    def _superseded(self, attempt: int) -> None:
        """A later attempt has begun: commit nothing more, and stop the trainer."""
        reason = f"attempt {attempt} has begun"
        self.attempt_state.meet("Superseded", reason)
        self.attempt_state.say("Superseded", reason)
        self.uploads.abandon(reason)
        if self.directory:
            self.directory.saves.abandon()
        self.attempt_start.halt("Superseded", reason)
        now = self.clock.now()
        self.pod.bus.tell(Notice(Kind.Preempt, "fence", observed_at=now, deadline=now, raw=reason))

    def _update_phase(self) -> Phase:
        alive = bool(self.sessions.processes) or (self.directory is not None and self.ready())
        state = self.attempt_state
        signs = Signs(
            begun=self.attempt_start.begun,
            restoring=self.attempt_start.restoring,
            alive=alive,
            ended=self._stopping or (bool(self.sessions.ever) and not alive),
            notice=state.notice,
        )
        if (state_of(signs), alive) != (state.state, state.trainer.registered):
            state.state = state_of(signs)
            state.trainer.registered = alive
            state.changed()
        self.pod.metrics.step.set(state.trainer.step)
        return phase_of(signs)
