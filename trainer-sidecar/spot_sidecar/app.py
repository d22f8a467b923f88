"""The sidecar put together: the only file that knows every part.

Order at the start: the socket, then the TCP port (its health answers the startup probe, so that a
trainer never starts without the socket), then everything that may wait for others.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from aiohttp import web

from spot_sidecar.base.clock import Clock, timestamp
from spot_sidecar.base.entropy import Entropy
from spot_sidecar.cleanup.abandoned_uploads import clear_leftovers
from spot_sidecar.cleanup.retention import Retention
from spot_sidecar.config.spot_config import Settings
from spot_sidecar.directory.restore import DirectoryFetch
from spot_sidecar.directory.saves import Surroundings as DirectorySurroundings
from spot_sidecar.directory.source import DirectorySource, fetch_of, source_of
from spot_sidecar.interval.pacing import Pacing, restored
from spot_sidecar.lineage.access import Lineage
from spot_sidecar.lineage.connect import store_of
from spot_sidecar.lineage.fence import Fence
from spot_sidecar.notices.bus import NoticeBus, write_notice_file
from spot_sidecar.notices.health import Health
from spot_sidecar.notices.imds import ImdsSource
from spot_sidecar.notices.notice import Kind, Notice
from spot_sidecar.observability.metrics import Metrics
from spot_sidecar.operator_link.annotations import AnnotationReader
from spot_sidecar.operator_link.downward_api import watch_annotations
from spot_sidecar.operator_link.grant import GrantWatcher
from spot_sidecar.operator_link.reporter import Reporter
from spot_sidecar.pod_api.connections import ConnectionLimit
from spot_sidecar.pod_api.drain import Drain
from spot_sidecar.pod_api.routes import build_pod_app
from spot_sidecar.pod_api.server import serve_pod
from spot_sidecar.resume.attempt_start import AttemptStart
from spot_sidecar.resume.decision import Fresh, FromCheckpoint
from spot_sidecar.resume.fetch import Fetch
from spot_sidecar.resume.restore_agreement import RestoreAgreement
from spot_sidecar.resume.wiring import search_of
from spot_sidecar.shared_memory.arenas import Arenas
from spot_sidecar.shared_memory.volumes import leftover_notice, prepare_volumes
from spot_sidecar.snapshots.committer import Committer
from spot_sidecar.snapshots.completion import Completion
from spot_sidecar.snapshots.intake import Intake
from spot_sidecar.snapshots.stages import Stages
from spot_sidecar.snapshots.uploads import Surroundings, Uploads
from spot_sidecar.state.attempt_state import AttemptState
from spot_sidecar.state.phase import Signs, phase_of, state_of
from spot_sidecar.state.pod_journal import PodJournal
from spot_sidecar.state.state_persistence import restore_state
from spot_sidecar.state.state_writer import StateWriter
from spot_sidecar.state.time_buckets import Phase
from spot_sidecar.trainer_api.errors import answer_in_json
from spot_sidecar.trainer_api.notice_routes import NoticeRoutes
from spot_sidecar.trainer_api.save_routes import SaveRoutes
from spot_sidecar.trainer_api.server import serve_trainer
from spot_sidecar.trainer_api.start_routes import StartRoutes
from spot_sidecar.trainer_watch.oom_witness import OomWitness
from spot_sidecar.trainer_watch.progress_watch import ProgressWatch
from spot_sidecar.trainer_watch.sessions import Sessions

__all__ = ["Sidecar"]

log = logging.getLogger(__name__)

LAST_REPORT_SECONDS = 3.0
SPARE_SECONDS = 2.0
"""Kept of the grace for the last report and the termination message."""
VERIFY_SECONDS = 5.0
"""For the look at the last commit; the next attempt looks anyway."""


class Sidecar:
    """One pod's sidecar."""

    def __init__(self, settings: Settings, clock: Clock, entropy: Entropy) -> None:
        config, pod, paths = settings.config, settings.pod, settings.paths
        prepare_volumes(paths)
        self.settings = settings
        self.clock = clock
        self.entropy = entropy
        self.metrics = Metrics()
        self.journal = PodJournal(paths.journal)
        self.attempt_state = AttemptState(clock, config.attempt, clock.now(), entropy)
        restore_state(self.attempt_state, self.journal.get("state", {}))
        self.pacing = self._make_pacing()
        self.attempt_state.interval = self.pacing.to_json()
        self.metrics.saw_interval(self.attempt_state.interval)
        self.state_writer = StateWriter(self.attempt_state, self.journal, paths.termination_log)
        self.bus = NoticeBus(self._heard)
        connect = store_of(config.store, config.job)
        self.lineage = Lineage(connect, self.attempt_state, self.metrics)
        self.arenas = Arenas(paths, config.staging_bytes)
        self.stages = Stages(clock)
        self.sessions = Sessions(lambda _: self.witness.lives(), self._process_went)
        self.witness = OomWitness(self.attempt_state, paths.counters)
        self.reporter = Reporter(
            self.attempt_state, config, pod, paths.token, lambda _: self.fence.check_soon()
        )
        self.completion = Completion(self.lineage, self.attempt_state, self.reporter)
        self.grants = GrantWatcher(config.attempt, start_fresh=config.on_none_valid == "StartFresh")
        self.fence = Fence(
            self.lineage,
            self.attempt_state,
            journal=self.journal,
            config=config,
            pod=pod,
            superseded=self._superseded,
        )
        self.fetch = self._make_fetch()
        self.attempt_start = self._make_attempt_start()
        self.intake = Intake(
            self.arenas,
            self.stages,
            attempt_state=self.attempt_state,
            journal=self.journal,
            metrics=self.metrics,
        )
        committer = Committer(self.lineage, self.fence, self.attempt_state, config, pod)
        self.retention = Retention(committer, self.grants, self.metrics, ending=self._ending)
        self.uploads = Uploads(
            self.intake,
            self.stages,
            committer,
            self.lineage,
            self.pacing,
            attempt_state=self.attempt_state,
            metrics=self.metrics,
            config=config,
            paths=paths,
            parent=lambda: self.attempt_start.parent,
            expected=lambda: self.journal.get("started", ()),
            surroundings=Surroundings(
                seconds_left=self._seconds_left,
                hurried=lambda: self._stopping or self.bus.in_force is not None,
                progress=lambda: self.watch.seen(),  # noqa: PLW0108 - made later
            ),
            save_costs=lambda known: self.journal.put(pacing=known),
        )
        self.drain = Drain(
            self.bus,
            self.sessions,
            clock,
            grace_seconds=config.grace_seconds,
            uploads=self.intake.arrivals,
            uploads_idle=lambda: self.intake.idle,
            turn_away=self.attempt_start.turn_away,
        )
        self.watch = ProgressWatch(
            self.attempt_state,
            paths,
            high_water=config.high_water_step,
            phase=self._look_at_phase,
            processes=lambda: self.sessions.ever,
            works=self.attempt_start.started,
        )
        self._stopping = False
        """Whether the trainer has ended."""
        self._trainer_ended = asyncio.Event()
        self.directory = self._make_directory(committer)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set (the trainer has ended), then bring in what is under way."""
        if notice := leftover_notice(self.settings.paths):
            self.bus.tell(notice)
        self.state_writer.write()
        self.witness.start()
        runners = [await self._serve_trainer(), await self._serve_pod()]
        log.info("serving", extra={"socket": str(self.settings.paths.socket)})
        tasks = [asyncio.create_task(work, name=name) for name, work in self._works().items()]
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
            _raise_what_failed(tasks)
            await self._bring_in()
        finally:
            self.witness.stop()
            await self._end([*tasks, stopped], runners)

    def _works(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Everything that runs for as long as the sidecar; none of them ever returns."""
        paths, imds = self.settings.paths, self.settings.config.notices.imds
        reader = AnnotationReader(
            grants=self.grants,
            clock=self.clock,
            journal=self.journal,
            tell=self.bus.tell,
            trust=self.reporter.trust,
            ended=self._trainer_ended.set,
        )
        works = {
            "annotations": watch_annotations(paths.annotations, self.clock, reader.read),
            "attempt": self._attempt(),
            "uploads": self.uploads.run(),
            "watch": self.watch.run(),
            "state": self.state_writer.run(),
            "reports": self.reporter.run(),
            "parting": self._part(),
        }
        if imds.enabled:
            source = ImdsSource(
                imds.endpoint, self.clock, self.bus.tell, self._health_of_imds, self.entropy
            )
            works["imds"] = source.run()
        return works

    async def _attempt(self) -> None:
        """The attempt's own course: begin, then guard the claim."""
        if self.journal.get("nonceOfLineage"):
            self.intake.open(self.journal.get("nonceOfLineage"))
        if self.settings.config.store.s3:
            await self.lineage.connect()  # asks nobody; its libraries take a second to import
        await self.attempt_start.run()
        if isinstance(self.attempt_start.decision, Fresh | FromCheckpoint):
            nonce = await self.fence.nonce()
            self.journal.put(nonceOfLineage=nonce)
            self.intake.open(nonce)
            async with asyncio.TaskGroup() as group:
                group.create_task(self.fence.watch())
                group.create_task(self.retention.run())
                group.create_task(clear_leftovers(self.lineage, self.clock, self.settings.config))
                if self.directory:
                    group.create_task(self.directory.run(nonce))
        await asyncio.get_running_loop().create_future()

    async def _bring_in(self) -> None:
        """The trainer has ended: finish uploads within what is left of the grace, say so."""
        end = self.clock.monotonic() + self.drain.grace_left - SPARE_SECONDS
        log.info("stopping", extra={"unfinished": len(self.intake.unfinished)})
        await self._settle(end)
        await self.uploads.verified(min(VERIFY_SECONDS, max(0.0, end - self.clock.monotonic())))
        self.watch.update()
        self.state_writer.write()
        try:
            async with asyncio.timeout(LAST_REPORT_SECONDS):
                await self.reporter.send()
        except TimeoutError:
            log.warning("the last report was not answered")

    async def _part(self) -> None:
        """The trainer has ended, and others in the pod keep the kubelet from ending this one."""
        await self._trainer_ended.wait()
        log.info("the trainer has ended", extra={"unfinished": len(self.intake.unfinished)})
        await self._settle(self.clock.monotonic() + self.settings.config.grace_seconds)
        self.attempt_state.settled = True
        self.attempt_state.changed()
        await asyncio.get_running_loop().create_future()

    async def _settle(self, end: float) -> None:
        """Bring in what the trainer has left, until `end` on the monotonic clock at the longest."""
        self._stopping = True
        self.uploads.hurry()
        if self.directory:
            await self.directory.saves.wait_until_idle(max(0.0, end - self.clock.monotonic()))
        await self.uploads.wait_until_idle(max(0.0, end - self.clock.monotonic()))
        await self.completion.wait_until_idle(max(0.0, end - self.clock.monotonic()))

    async def _end(self, tasks: list[asyncio.Task[Any]], runners: list[web.AppRunner]) -> None:
        self.uploads.stop()
        if self.directory:
            self.directory.saves.abandon()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for runner in runners:
            await runner.cleanup()
        await self.reporter.close()
        self.state_writer.write()
        self.lineage.close()

    async def _serve_trainer(self) -> web.AppRunner:
        app = web.Application(middlewares=[answer_in_json], client_max_size=2**20)
        config, paths = self.settings.config, self.settings.paths
        starting = StartRoutes(self.sessions, self.attempt_start, self.pacing, config, paths)
        app.add_routes(starting.routes())
        saving = SaveRoutes(
            self.arenas,
            self.intake,
            self.uploads,
            self.stages,
            self.completion,
            self.attempt_state,
            self.attempt_start.started,
        )
        app.add_routes(saving.routes())
        app.add_routes(
            NoticeRoutes(self.bus, self.attempt_state, self.pacing.slowdown_meter).routes()
        )
        return await serve_trainer(app, paths.socket)

    async def _serve_pod(self) -> web.AppRunner:
        token = self.settings.config.drain_token
        connections = ConnectionLimit()
        app = build_pod_app(
            self.drain, self.metrics, connections, drain_token=token, ready=self._ready
        )
        return await serve_pod(app, self.settings.host, self.settings.port, connections)

    def _make_attempt_start(self) -> AttemptStart:
        config, pod = self.settings.config, self.settings.pod
        agreement = RestoreAgreement(
            config.attempt, config.rank, pod.node, lambda: timestamp(self.clock.now())
        )
        search = search_of(config, self.lineage, self.attempt_state, self.fetch, agreement)
        return AttemptStart(
            self.grants,
            self.fence,
            search,
            self.fetch,
            attempt_state=self.attempt_state,
            journal=self.journal,
            begins_at=lambda step: self.watch.begins_at(step),  # noqa: PLW0108 - made later
            turns=lambda: self.watch.turn(),  # noqa: PLW0108 - made later
        )

    def _make_fetch(self) -> Fetch | DirectoryFetch:
        settings, paths = self.settings.config.directory, self.settings.paths
        if settings is None:
            return Fetch(self.lineage, self.arenas, paths, self.metrics)
        return fetch_of(settings, paths, self.lineage, self.metrics)

    def _make_directory(self, committer: Committer) -> DirectorySource | None:
        settings = self.settings.config.directory
        if settings is None or not isinstance(self.fetch, DirectoryFetch):
            return None
        around = DirectorySurroundings(
            interval=lambda: self.pacing.seconds,
            hurried=lambda: self._stopping or self.bus.in_force is not None,
            reached=self.watch.reached,
            parent=lambda: self.attempt_start.parent,
        )
        return source_of(
            settings,
            self.fetch,
            config=self.settings.config,
            paths=self.settings.paths,
            grants=self.grants,
            attempt_start=self.attempt_start,
            committer=committer,
            lineage=self.lineage,
            journal=self.journal,
            attempt_state=self.attempt_state,
            metrics=self.metrics,
            around=around,
        )

    def _ready(self) -> bool:
        """Whether the trainer's container may start: one of the SDK waits for its state itself."""
        return self.directory is None or self.directory.attempt_start.ready

    def _process_went(self, process: int) -> None:
        self.arenas.take_back(process)
        if not self.sessions.processes:
            self.witness.ended()

    def _make_pacing(self) -> Pacing:
        config, known = self.settings.config, self.journal.get("pacing", {})
        begin_with = restored(config.interval, config.pacing, known)
        return Pacing(*begin_with, trained_hours=lambda: self.attempt_state.seconds.trained / 3600)

    def _seconds_left(self) -> float | None:
        notice = self.bus.in_force
        if notice is None or notice.deadline is None:
            return None
        left = (notice.deadline - self.clock.now()).total_seconds()
        return left - min(SPARE_SECONDS, left / 4)

    def _ending(self) -> bool:
        """Whether the pod is on its way out, with nothing but its last save to do."""
        notice = self.bus.in_force
        return self._stopping or (notice is not None and notice.kind.certain)

    def _heard(self, notice: Notice) -> None:
        """A notice is in force: into the trainer's file first, then to everybody else."""
        self.watch.update()
        self.attempt_state.notice = notice
        try:
            write_notice_file(self.settings.paths.notice, notice)
            self.attempt_state.told_at = self.clock.now()
        except OSError as error:
            # The shared memory is full: GET /v1/notice still tells.
            log.warning("cannot write notice.json: %s", error)
        self.uploads.hurry()
        self.metrics.saw_notice(notice)
        log.info("notice", extra=notice.to_json())
        self.attempt_state.changed()

    def _health_of_imds(self, health: Health) -> None:
        before = self.attempt_state.sources.get("imds")
        self.attempt_state.sources["imds"] = health
        self.metrics.saw_health("imds", health)
        self.attempt_state.changed(urgent=before is None or before.healthy != health.healthy)

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
        self.bus.tell(Notice(Kind.Preempt, "fence", observed_at=now, deadline=now, raw=reason))

    def _look_at_phase(self) -> Phase:
        alive = bool(self.sessions.processes) or (self.directory is not None and self._ready())
        signs = Signs(
            begun=self.attempt_start.begun,
            restoring=self.attempt_start.restoring,
            alive=alive,
            ended=self._stopping or (bool(self.sessions.ever) and not alive),
            notice=self.attempt_state.notice,
        )
        state = state_of(signs)
        if (state, alive) != (self.attempt_state.state, self.attempt_state.trainer.registered):
            self.attempt_state.state = state
            self.attempt_state.trainer.registered = alive
            self.attempt_state.changed()
        self.metrics.step.set(self.attempt_state.trainer.step)
        return phase_of(signs)


def _raise_what_failed(tasks: list[asyncio.Task[Any]]) -> None:
    """A part that ended is a fault: end as well, be restarted, and go on from the journal."""
    for task in tasks:
        if task.done() and not task.cancelled():
            error = task.exception()
            raise error or RuntimeError(f"{task.get_name()} has ended")
