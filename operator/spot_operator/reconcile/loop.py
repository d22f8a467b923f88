"""One pass over one job, and the workers that make them.

    nothing of ours unseen -> observe -> plan -> persist the ledger | act on it -> look again when

A pass that persisted ends there: the job's own change in the cache starts the next, which acts on
what it sees persisted. One job's trouble never stops the others.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from spot_operator.api.events import Event
from spot_operator.api.names import FINALIZER
from spot_operator.control.client import Client
from spot_operator.control.clock import Clock
from spot_operator.control.errors import (
    ApiError,
    Conflict,
    Invalid,
    NotFound,
    NotLeader,
    Unavailable,
)
from spot_operator.control.rate import RateBudget, RateBudgets
from spot_operator.control.workqueue import WorkQueue
from spot_operator.domain.actions import Action, Note, Plan
from spot_operator.domain.crd_support import REMEDY, not_kept, told
from spot_operator.domain.formats.text import CONDITION_MESSAGE, shorten
from spot_operator.domain.observed.snapshot import STATUS_WRITE, JobKey, JobView, Snapshot
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import Ledger
from spot_operator.domain.state.status import status_of
from spot_operator.observability.ledger_metrics import count
from spot_operator.observability.metrics import Metrics
from spot_operator.reconcile.act import Actor, told_of
from spot_operator.reconcile.hidden import LOOK_SECONDS, Hidden, relabelling
from spot_operator.reconcile.kinds import JOBS
from spot_operator.reconcile.observe import Observer, UnreadableStatus
from spot_operator.reconcile.persist import persist, probe

__all__ = ["WORKERS", "Reconciler"]

log = logging.getLogger(__name__)

WORKERS: Final = 8
"""Passes wait for the API server most of their time; the planning itself takes turns."""

UNREADABLE: Final = (
    "the status of this job cannot be read, so nothing is done for it: upgrade the operator to the "
    "version that wrote it. Do not remove the status: it holds the number of the attempt. If the "
    f"job is being deleted, take the finalizer {FINALIZER} off to let it go; its checkpoints stay"
)


@dataclass(slots=True)
class Reconciler:
    """Brings jobs forward. `tell` writes an Event about a job; it must not fail or wait."""

    client: Client
    observer: Observer
    actor: Actor
    queue: WorkQueue[JobKey]
    figures: RateBudget
    figures_of: RateBudgets
    """Of one job, by its uid: no tenant uses up what all share."""
    transitions_of: RateBudgets
    clock: Clock
    metrics: Metrics
    tell: Callable[[JobView, Note], None]
    _unsure: set[JobKey] = field(default_factory=set)
    """Jobs whose last status write may or may not have been done."""
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _hidden: Hidden = field(init=False)

    def __post_init__(self) -> None:
        self._hidden = Hidden(self.client)

    async def run(self) -> None:
        """Work until cancelled, or until this process does not lead any more (NotLeader)."""
        async with asyncio.TaskGroup() as group:
            for number in range(WORKERS):
                group.create_task(self._work(), name=f"worker {number}")

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            began = self.clock.monotonic()
            try:
                await self._attend(key)
            finally:
                self.queue.done(key)
                self.metrics.pass_seconds.observe(self.clock.monotonic() - began)

    async def _attend(self, key: JobKey) -> None:
        """One pass, and the next look at the job."""
        try:
            wait = await self.reconcile(key)
        except NotLeader:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the other jobs go on
            self._failed(key, error)
        else:
            self.queue.forget(key)
            if wait is not None:
                self.queue.add_after(key, wait)

    def _failed(self, key: JobKey, error: Exception) -> None:
        if isinstance(error, UnreadableStatus):
            self._tell_unreadable(key, error)
        self.metrics.passes_failed.labels(type(error).__name__).inc()
        wait = self.queue.retry(key)
        expected = isinstance(error, ApiError | UnreadableStatus)
        log.log(
            logging.INFO if expected else logging.ERROR,
            "%s: %s: %s; again in %.1f s",
            key,
            type(error).__name__,
            error,
            wait,
            exc_info=None if expected else error,
        )

    def _tell_unreadable(self, key: JobKey, error: UnreadableStatus) -> None:
        """By an Event: a condition would be a part of the very status."""
        job = self.observer.job(key)
        if job is not None:
            text = shorten(f"{UNREADABLE}: {error}", CONDITION_MESSAGE)
            self.tell(job, Note("Warning", Event.UNREADABLE_STATUS, text))

    async def reconcile(self, key: JobKey) -> float | None:
        """One pass; returns the seconds until the next even if nothing happens, None for none.

        Raises:
            UnreadableStatus, ApiError, NotLeader: see those; all but the last are for the queue's
                back-off.
        """
        await self._make_sure(key)
        unseen = self.actor.expecting.expires_in(key)
        if unseen is not None:
            # The news itself wakes the job earlier.
            return unseen
        snapshot = self.observer.observe(key)
        hidden = await self._hidden.look(snapshot)
        if hidden is not None:
            # The caches may have moved on meanwhile.
            snapshot = self.observer.observe(key, hidden)
        self._forget_the_past(snapshot)
        made = plan(snapshot)
        wait = await self._carry_out(snapshot, made, relabelling(hidden or ()))
        return wait if not hidden else min(LOOK_SECONDS, LOOK_SECONDS if wait is None else wait)

    async def _carry_out(
        self, snapshot: Snapshot, made: Plan, first: tuple[Action, ...]
    ) -> float | None:
        if made.ledger is not None and snapshot.job is not None:
            return await self._persist(snapshot, snapshot.job, made, made.ledger)
        if snapshot.unkept and snapshot.job and await self._upgraded(snapshot, snapshot.job):
            return 0.0
        again = await self.actor.act(snapshot.key, snapshot.job, (*first, *made.actions))
        return 0.0 if again else _seconds(made)

    async def _persist(
        self, snapshot: Snapshot, job: JobView, made: Plan, ledger: Ledger
    ) -> float | None:
        if wait := self._must_wait(job, made):
            if made.meanwhile and await self.actor.act(snapshot.key, job, made.meanwhile):
                return 0.0
            return wait
        try:
            if await self._ask(snapshot, job):
                return 0.0
            stored = await persist(self.client, job, ledger)
        except ApiError as error:
            self._not_stored(snapshot.key, job, error)
            raise
        self.actor.findings.about(snapshot.key, job.uid).succeeded(STATUS_WRITE)
        lost = not_kept(status_of(ledger), stored.get("status") or {})
        self._tell_unkept(job, self.observer.unkept.shown(lost))
        self.actor.expecting.change(snapshot.key, self.observer.caches.jobs, stored)
        count(self.metrics, snapshot.ledger, ledger)
        for note in made.events:
            self.tell(job, note)
        return _seconds(made)

    def _must_wait(self, job: JobView, made: Plan) -> float:
        """Seconds until the write may be done: reports come as often as a tenant likes."""
        if made.urgent:
            return self.transitions_of.take(job.uid)
        return self.figures_of.take(job.uid) or self.figures.take()

    async def _ask(self, snapshot: Snapshot, job: JobView) -> bool:
        """Before a write: does the server keep what we write? Whether it is other than was seen.

        Raises:
            ApiError: the job has changed, or the server did not answer; the write would fail too.
        """
        unkept = self.observer.unkept
        # The others wait for the answer as well: nothing is to be half stored.
        async with self._asking:
            if unkept.is_due():
                try:
                    news = unkept.answered(await probe(self.client, job))
                except (Conflict, NotFound, Unavailable):
                    raise
                except ApiError as error:
                    # Rules that forbid the sample, a webhook without dry runs: writes show it too.
                    log.info("what the API server keeps of a status is not known: %s", error)
                    unkept.put_off()
                else:
                    self._tell_unkept(job, news)
        return unkept.paths != snapshot.unkept

    async def _upgraded(self, snapshot: Snapshot, job: JobView) -> bool:
        """Whether the server keeps more by now; one that does not answer holds up no action."""
        try:
            return await self._ask(snapshot, job)
        except ApiError as error:
            log.info("what the API server keeps of a status is not known: %s", error)
            return False

    def _tell_unkept(self, job: JobView, news: frozenset[str]) -> None:
        if news:
            message = f"the API server does not keep {told(news)} of the job's status: {REMEDY}"
            note = Note("Warning", Event.CRDS_OUTDATED, shorten(message, CONDITION_MESSAGE))
            self.tell(job, note)

    def _not_stored(self, key: JobKey, job: JobView, error: ApiError) -> None:
        if isinstance(error, Unavailable):
            self._unsure.add(key)
        if isinstance(error, Conflict | NotFound):
            # The job has changed, or is gone: the next look will know.
            return
        refusal = self.actor.findings.note(key, job.uid).refused(STATUS_WRITE, error)
        if refusal is not None:
            hint = f"; perhaps {REMEDY}" if isinstance(error, Invalid) else ""
            self.tell(job, told_of(replace(refusal, message=refusal.message + hint)))

    async def _make_sure(self, key: JobKey) -> None:
        """After a status write of unknown outcome: wait until the cache is as new as the server."""
        if key not in self._unsure:
            return
        try:
            job = await self.client.get(JOBS, key.name, namespace=key.namespace)
        except NotFound:
            log.info("%s is gone", key)
        else:
            self.actor.expecting.change(key, self.observer.caches.jobs, job)
        self._unsure.discard(key)

    def _forget_the_past(self, snapshot: Snapshot) -> None:
        key, observer = snapshot.key, self.observer
        if snapshot.job is not None:
            observer.tombstones.keep_only(key.namespace, key.name, snapshot.ledger.attempt)
            return
        observer.tombstones.forget(key.namespace, key.name)
        observer.findings.forget(key)
        if all(pod.gone for pod in snapshot.pods):
            self.actor.expecting.forget(key)


def _seconds(made: Plan) -> float | None:
    return None if made.wake_after is None else made.wake_after.total_seconds()
