"""What lives as long as the pod: shared memory, notices, access to the store, the operator's link.

Attempts follow each other in a pod, one at a time: `prepare` makes room for the next one.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Protocol

from spot_sidecar.base.clock import Clock
from spot_sidecar.base.entropy import Entropy
from spot_sidecar.config.spot_config import Config, Settings
from spot_sidecar.lineage.access import Lineage
from spot_sidecar.lineage.connect import store_of
from spot_sidecar.notices.bus import NoticeBus, write_notice_file
from spot_sidecar.notices.health import Health
from spot_sidecar.notices.notice import Notice
from spot_sidecar.notices.registry import sources_of
from spot_sidecar.notices.source import Poller
from spot_sidecar.observability.metrics import Metrics
from spot_sidecar.operator_link.annotations import AnnotationReader
from spot_sidecar.operator_link.downward_api import watch_annotations
from spot_sidecar.operator_link.grant import GrantWatcher
from spot_sidecar.operator_link.reporter import Reporter
from spot_sidecar.shared_memory.arenas import Arenas
from spot_sidecar.shared_memory.volumes import leftover_notice, prepare_volumes
from spot_sidecar.state.attempt_state import AttemptState
from spot_sidecar.state.pod_journal import PodJournal
from spot_sidecar.state.state_persistence import restore_state
from spot_sidecar.state.state_writer import StateWriter
from spot_sidecar.trainer_watch.oom_witness import OomWitness

__all__ = ["Pod"]

log = logging.getLogger(__name__)

LAST_REPORT_SECONDS = 3.0


class Listener(Protocol):
    """The attempt that runs, as far as the pod has something to tell it."""

    def notice_comes(self) -> None:
        """A notice is about to be in force."""

    def notice_came(self) -> None:
        """A notice is in force."""

    def outdated(self, attempt: int) -> None:
        """The operator says that a later attempt has begun."""


class Pod:
    """One pod, whichever attempt runs in it."""

    def __init__(self, settings: Settings, clock: Clock, entropy: Entropy) -> None:
        config, paths = settings.config, settings.paths
        prepare_volumes(paths)
        self.settings = settings
        self.clock = clock
        self.entropy = entropy
        self.metrics = Metrics()
        self.journal = PodJournal(paths.journal)
        self.journal.begin_attempt(config.attempt)
        self.arenas = Arenas(paths, config.staging_bytes)
        self.bus = NoticeBus(self._heard)
        self.trainer_ended = asyncio.Event()
        """The operator has seen the end of the trainer's container."""
        self.attempt_state = self._restored_state(config)
        self.grants = _grants_of(config)
        self.lineage = Lineage(store_of(config.store, config.job), self.attempt_state, self.metrics)
        self.state_writer = StateWriter(self.attempt_state, self.journal, paths.termination_log)
        self.witness = OomWitness(self.attempt_state, paths.counters)
        self.reporter = Reporter(
            self.attempt_state, config, settings.pod, paths.token, self._outdated
        )
        self.annotations = AnnotationReader(
            grants=self.grants,
            clock=clock,
            journal=self.journal,
            tell=self.bus.tell,
            trust=self.reporter.trust,
            ended=self.trainer_ended.set,
        )
        self.listener: Listener | None = None

    def prepare(self, config: Config, listener: Listener) -> None:
        """Make room for this attempt; the one before, if there was one, has ended."""
        self.listener = listener
        if config.attempt == self.attempt_state.attempt:
            return
        self.journal.begin_attempt(config.attempt)
        self.attempt_state = self._restored_state(config)
        self.attempt_state.notice = self.bus.in_force
        self.lineage = self.lineage.for_attempt(self.attempt_state)
        self.state_writer.follow(self.attempt_state)
        self.witness.follow(self.attempt_state)
        self.reporter.follow(self.attempt_state, config)
        self.grants = _grants_of(config)
        self.annotations.follow(self.grants)

    def open(self) -> None:
        """Take up what an earlier run of this container has left, and listen to the kernel."""
        if notice := leftover_notice(self.settings.paths):
            self.bus.tell(notice)
        self.state_writer.write()
        self.witness.start()

    def works(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Everything that runs for as long as the pod; none of them ever returns."""
        paths = self.settings.paths
        works = {
            "annotations": watch_annotations(paths.annotations, self.clock, self.annotations.read),
            "state": self.state_writer.run(),
            "reports": self.reporter.run(),
        }
        for source in sources_of(self.settings.config.notices, self.clock):
            poller = Poller(source, self.clock, self.bus.tell, self._health_of, self.entropy)
            works[source.name] = poller.run()
        return works

    async def report_once_more(self) -> None:
        """The last words: to the disk, and to the operator if it answers soon."""
        self.state_writer.write()
        try:
            async with asyncio.timeout(LAST_REPORT_SECONDS):
                await self.reporter.send()
        except TimeoutError:
            log.warning("the last report was not answered")

    async def close(self) -> None:
        """The process ends."""
        await self.reporter.close()
        self.state_writer.write()
        self.lineage.close()

    def _restored_state(self, config: Config) -> AttemptState:
        state = AttemptState(self.clock, config.attempt, self.clock.now(), self.entropy)
        restore_state(state, self.journal.get("state", {}))
        return state

    def _outdated(self, attempt: int) -> None:
        if self.listener:
            self.listener.outdated(attempt)

    def _heard(self, notice: Notice) -> None:
        """A notice is in force: into the trainer's file first, then to everybody else."""
        if self.listener:
            self.listener.notice_comes()
        self.attempt_state.notice = notice
        try:
            write_notice_file(self.settings.paths.notice, notice)
            self.attempt_state.told_at = self.clock.now()
        except OSError as error:
            # The shared memory is full: GET /v1/notice still tells.
            log.warning("cannot write notice.json: %s", error)
        if self.listener:
            self.listener.notice_came()
        self.metrics.saw_notice(notice)
        log.info("notice", extra=notice.to_json())
        self.attempt_state.changed()

    def _health_of(self, source: str, health: Health) -> None:
        before = self.attempt_state.sources.get(source)
        self.attempt_state.sources[source] = health
        self.metrics.saw_health(source, health)
        self.attempt_state.changed(urgent=before is None or before.healthy != health.healthy)


def _grants_of(config: Config) -> GrantWatcher:
    return GrantWatcher(config.attempt, start_fresh=config.on_none_valid == "StartFresh")
