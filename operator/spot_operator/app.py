"""The wiring: the only file that knows every part.

`Operator` is one replica on any client, clock and entropy: the simulation runs it as it is, and
`program` gives it a network and a process.

    stand by -> lead: claim -> lists -> work ────────────────┐
       ^                ^                                     ├─ the lease is lost: the process ends
       │                └── another release watches the same  └─ SIGTERM: the lease is handed back
       └── certificate (read only)
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from spot_operator.api import names
from spot_operator.api.events import told
from spot_operator.control import events as control_events
from spot_operator.control.client import Client
from spot_operator.control.clock import Clock, Entropy, within
from spot_operator.control.endpoints import ServiceAddress, publish, withdraw
from spot_operator.control.errors import ApiError, ControlError
from spot_operator.control.events import EventRecorder
from spot_operator.control.fence import FencedClient
from spot_operator.control.lease import LeaderLease, LeaseTimes
from spot_operator.control.owner import Owner
from spot_operator.control.rate import RateBudget, RateBudgets
from spot_operator.control.resource import LEASES
from spot_operator.control.retry import RetryingClient
from spot_operator.control.server_clock import ServerClock
from spot_operator.control.watch_claim import Claim, WatchClaim
from spot_operator.control.workqueue import WorkQueue
from spot_operator.domain.actions import Note
from spot_operator.domain.formats.text import CONDITION_MESSAGE, shorten
from spot_operator.domain.observed.snapshot import JobKey, JobView
from spot_operator.observability.counted_client import CountedClient
from spot_operator.observability.health import Facts
from spot_operator.observability.metrics import Metrics
from spot_operator.reconcile.act import Actor
from spot_operator.reconcile.api_feedback import ApiFeedback
from spot_operator.reconcile.caches import Caches
from spot_operator.reconcile.expecting import Expecting
from spot_operator.reconcile.kinds import JOBS
from spot_operator.reconcile.lease_ages import LeaseAges
from spot_operator.reconcile.loop import Reconciler
from spot_operator.reconcile.observe import Observer
from spot_operator.reconcile.receiver_world import ReceiverWorld
from spot_operator.reconcile.tombstones import Tombstones
from spot_operator.reconcile.triggers import Triggers
from spot_operator.render.settings import RenderSettings
from spot_operator.reports.authority import AuthorityError
from spot_operator.reports.book import MAX_PODS, ReportBook
from spot_operator.reports.hearing import ADDRESS, CERTIFICATE, Hearing
from spot_operator.reports.identity import TokenReviewer
from spot_operator.reports.receiver import Answer, Receiver
from spot_operator.reports.schema import Report
from spot_operator.reports.screening import Screen
from spot_operator.reports.tls import CHECK_SECONDS, ServerTls, service_names
from spot_operator.settings import Settings, listed

__all__ = ["Operator"]

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 5.0
"""Between two tries of what the whole operator waits for."""
LOOK_SECONDS: Final = 10.0
"""Between two looks at what others may change beside us: the slice of the reports Service."""
CERTIFICATE_SECONDS: Final = 10.0
"""What a new leader waits for the certificate before it looks at jobs without one."""
REPORTS_PER_SECOND: Final = 2.0
REPORTS_AT_ONCE: Final = 60
"""Of one pod: a sidecar sends one each 15 s, and ten a second while something urgent happens."""
EVENTS_PER_SECOND: Final = 0.1
EVENTS_AT_ONCE: Final = 32
"""Of one job's sidecars: all jobs share the rate at which Events are written."""
FIGURES_APART: Final = 5.0
"""Seconds between status writes of mere figures of one job, after the first few."""
FIGURES_AT_ONCE: Final = 10
TRANSITIONS_APART: Final = 2.0
"""The same of everything else: an attempt has a dozen, so these are for whoever makes more."""
TRANSITIONS_AT_ONCE: Final = 40
MAX_JOBS: Final = 20_000
"""Whose writes are counted; of more those written longest ago are forgotten."""
FIGURES_BURST: Final = 10
"""Status writes of mere figures that may come at once."""
FAREWELL_SECONDS: Final = 3.0
"""What the last words of a leader may take."""


class Operator:
    """One replica: it stands by, leads, and ends when it leads no more."""

    def __init__(self, client: Client, clock: Clock, entropy: Entropy, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self._clock = clock = ServerClock(clock)
        counted = CountedClient(client, self.metrics)
        self._owner = Owner(counted, settings.owner_cluster_role)
        self.lease = _lease(counted, clock, entropy, settings, self._owner)
        self.claim = _claim(
            FencedClient(counted, self.lease.is_leader), clock, settings, self._owner
        )
        # Above the fence, so that each try of a write is fenced again.
        self._client = RetryingClient(FencedClient(counted, self.works), clock, entropy)
        self.caches = Caches(counted, clock, entropy, settings.namespaces)
        self.queue: WorkQueue[JobKey] = WorkQueue(clock, entropy)
        self.book = ReportBook(clock)
        self.tls = self._make_tls()
        self._hearing = Hearing(clock)
        self._address = _address(settings)
        self._recorder = EventRecorder(
            self._client,
            clock,
            entropy,
            controller=names.FIELD_MANAGER,
            instance=settings.pod_name,
        )
        self._observer = self._make_observer(entropy)
        self._triggers = Triggers(self.caches, self.queue)
        self._reconciler = self._make_reconciler(entropy)
        self.receiver = self._make_receiver()
        self._told = RateBudgets(clock, EVENTS_PER_SECOND, EVENTS_AT_ONCE, limit=MAX_PODS)

    # --- life ---

    async def run(self) -> None:
        """Stand by, lead, and end.

        Raises:
            BaseExceptionGroup: with LostLease or NotLeader when it led and leads no more, or with
                whatever else went wrong for good. The process must end then: nothing is taken up
                again from the middle.
        """
        await self._owner.find()
        async with asyncio.TaskGroup() as standing_by:
            beside = (
                standing_by.create_task(self._keep_certificate(), name="certificate"),
                standing_by.create_task(self.claim.look_out(), name="claims"),
                standing_by.create_task(self._keep_owner(), name="owner"),
            )
            await self.lease.acquire()
            for one in beside:
                one.cancel()
        try:
            async with asyncio.TaskGroup() as holding:
                # Ended last: this process must lead until its last writes are done.
                holding.create_task(self.lease.hold(), name="lease")
                await self.claim.take()
                holding.create_task(self.claim.hold(), name="claim")
                await self._lead()
        finally:
            await self.lease.release()

    async def _lead(self) -> None:
        try:
            async with asyncio.TaskGroup() as leading:
                leading.create_task(self.caches.run(), name="caches")
                leading.create_task(self._work(), name="work")
        finally:
            self._observer.leading_since = None
            await self._say_farewell()

    async def _work(self) -> None:
        await self.caches.wait_synced()
        await self._set_clock()
        await self._try_certificate()
        self._observer.leading_since = self._clock.monotonic()
        log.info("leading, with %d jobs", len(self.caches.jobs))
        async with asyncio.TaskGroup() as work:
            work.create_task(self._reconciler.run(), name="reconciler")
            work.create_task(self._recorder.run(), name="events")
            work.create_task(self._keep_certificate(), name="certificate")
            work.create_task(self._keep_owner(), name="owner")
            work.create_task(self._keep_published(), name="endpoints")

    async def _set_clock(self) -> None:
        """What is written from now on bears the API server's time, as the last leader's did."""
        name, namespace = self.settings.lease_name, self.settings.namespace
        while not await self._clock.find(self._client, LEASES, name, namespace=namespace):
            await self._clock.sleep(RETRY_SECONDS)

    async def _keep_owner(self) -> None:
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            await self._owner.find()

    async def _keep_published(self) -> None:
        """Lead the reports Service here, whoever changes or removes the slice, until cancelled."""
        while True:
            try:
                owners = self._owner.references()
                address = replace(self._address, owners=owners)
                was_away = await publish(self._client, address)
            except ApiError as error:
                self._hearing.found(ADDRESS, well=False)
                log.warning("%s: %s; again in %.0f s", ADDRESS, error, RETRY_SECONDS)
                await self._clock.sleep(RETRY_SECONDS)
                continue
            if was_away:
                log.info("the reports Service leads to %s now", self._address.address)
                self._hearing.found(ADDRESS, well=False)
            self._hearing.found(ADDRESS, well=True)
            await self._clock.sleep(LOOK_SECONDS)

    async def _try_certificate(self) -> None:
        """So that the first pods are told whom to trust; jobs wait for it no longer than that."""
        try:
            await within(self._clock, CERTIFICATE_SECONDS, self._refresh_certificate())
        except (ApiError, AuthorityError, TimeoutError) as error:
            log.warning("%s: %s; the jobs go on without reports", CERTIFICATE, error)

    async def _keep_certificate(self) -> None:
        while True:
            await self._until_done("the reports server's certificate", self._refresh_certificate)
            await self._clock.sleep(CHECK_SECONDS if self.tls.ready else RETRY_SECONDS)

    async def _refresh_certificate(self) -> None:
        before = self.tls.bundle
        try:
            await self.tls.refresh()
        finally:
            self._hearing.found(CERTIFICATE, well=self.tls.ready)
        if self.tls.bundle != before:
            # Running pods are told whom to trust from now on.
            self._triggers.every_job()

    async def _until_done(self, what: str, act: Callable[[], Awaitable[Any]]) -> None:
        """Try until it works; errors are logged, and people must correct their cause."""
        while True:
            try:
                await act()
            except (ApiError, AuthorityError) as error:
                log.warning("%s: %s; again in %.0f s", what, error, RETRY_SECONDS)
                await self._clock.sleep(RETRY_SECONDS)
            else:
                return

    async def _say_farewell(self) -> None:
        """Hand over at once, while we still lead; others wait out whatever fails here."""
        try:
            if self.works():
                await within(self._clock, FAREWELL_SECONDS, self._last_writes())
        except (ControlError, TimeoutError) as error:
            log.info("the last writes before the end are incomplete: %s", error)

    async def _last_writes(self) -> None:
        await withdraw(self._client, self._address)
        await self._recorder.flush()

    # --- what others ask ---

    def works(self) -> bool:
        """Whether this process may write: it leads its release, which holds its claim."""
        return self.lease.is_leader() and self.claim.holds()

    async def receive(self, token: str, body: bytes) -> Answer:
        """One report; see `reports.receiver`."""
        answer = await self.receiver.receive(token, body)
        self.metrics.reports.labels(str(answer.status)).inc()
        return answer

    def facts(self) -> Facts:
        """What the probes look at."""
        leading, since = self.lease.is_leader(), self._observer.leading_since
        if not leading:
            return Facts(leading=False, refused=self.claim.trouble)
        return Facts(
            leading=True,
            refused=self.claim.trouble,
            synced=since is not None,
            lacks=self._hearing.lacks,
            leading_for=0.0 if since is None else self._clock.monotonic() - since,
            silences={kind: one.silence() for kind, one in self.caches.all.items()},
            # No worker runs before the first lists are complete.
            stuck_for=0.0 if since is None else self.queue.stuck_for(),
        )

    def exposition(self) -> bytes:
        """The metrics as text, the gauges as of now."""
        metrics = self.metrics
        metrics.leader.set(self.lease.is_leader())
        metrics.fields_not_kept.set(len(self._observer.unkept.paths))
        metrics.hears_reports.set(not self._hearing.lacks)
        metrics.refused.set(bool(self.claim.trouble))
        metrics.namespaces_refused.set(len(self.caches.refused))
        metrics.queue_depth.set(len(self.queue))
        metrics.queue_age.set(self.queue.oldest_age())
        metrics.events_dropped.set(self._recorder.dropped)
        for kind, informer in self.caches.all.items():
            metrics.informer_silence.labels(kind).set(informer.silence())
        return metrics.text()

    def look_at(self, namespace: str, name: str) -> None:
        """Have a job looked at soon; before there are workers the first lists name every job."""
        if self._observer.leading_since is not None:
            self.queue.add(JobKey(namespace, name))

    # --- parts ---

    def _make_tls(self) -> ServerTls:
        settings = self.settings
        return ServerTls(
            self._client,
            self._clock,
            namespace=settings.namespace,
            secret_name=settings.reports_secret,
            dns_names=service_names(settings.reports_service, settings.namespace),
            writes=self.works,
        )

    def _make_receiver(self) -> Receiver:
        world, audience = ReceiverWorld(self.caches, self._observer), names.TOKEN_AUDIENCE
        reviewer = TokenReviewer(self._client, self._clock, audience, self._hearing.reviewed)
        return Receiver(
            world,
            Screen(reviewer, self._clock, audience, world.has_pod),
            self.book,
            self._accepted,
            RateBudgets(self._clock, REPORTS_PER_SECOND, REPORTS_AT_ONCE, limit=MAX_PODS),
        )

    def _make_observer(self, entropy: Entropy) -> Observer:
        leases, tombstones = LeaseAges(self._clock), Tombstones(self.book)
        self.caches.leases.subscribe(leases.hear)
        self.caches.pods.subscribe(tombstones.hear)
        return Observer(
            self.caches,
            self.book,
            leases,
            tombstones,
            ApiFeedback(self._clock),
            self._clock,
            entropy,
            hearing=self._hearing.seconds,
            trusted=lambda: self.tls.bundle,
        )

    def _make_reconciler(self, entropy: Entropy) -> Reconciler:
        actor = Actor(
            self._client,
            self.caches,
            Expecting(self.caches, self._clock),
            self._observer.findings,
            entropy,
            self._render_settings,
            self._tell,
        )
        figures = RateBudget(self._clock, self.settings.figures_per_second, FIGURES_BURST)
        return Reconciler(
            self._client,
            self._observer,
            actor,
            self.queue,
            figures,
            RateBudgets(self._clock, 1 / FIGURES_APART, FIGURES_AT_ONCE, limit=MAX_JOBS),
            RateBudgets(self._clock, 1 / TRANSITIONS_APART, TRANSITIONS_AT_ONCE, limit=MAX_JOBS),
            self._clock,
            self.metrics,
            self._tell,
        )

    def _render_settings(self) -> RenderSettings:
        settings = self.settings
        return RenderSettings(
            sidecar_image=settings.sidecar_image,
            reports_url=settings.reports_url,
            ca_bundle=self.tls.bundle,
            image_pull_policy=settings.sidecar_pull_policy,
            sidecar_pull_secrets=listed(settings.sidecar_pull_secrets),
            sidecar_cpu_request=settings.sidecar_cpu_request,
            sidecar_cpu_limit=settings.sidecar_cpu_limit or None,
            report_seconds=settings.report_seconds,
            imds_enabled=settings.imds_enabled,
            imds_endpoint=settings.imds_endpoint,
        )

    def _accepted(self, report: Report) -> None:
        self._triggers.report_accepted(report)
        job = self.caches.job(report.job_uid, report.namespace)
        if job is not None:
            about = control_events.reference(job)
            for event in report.events:
                if self._told.take(report.job_uid):
                    log.info("%s/%s: too many events of its sidecar", report.namespace, report.job)
                    return
                reason, text = told(event.reason, event.message)
                self._record(about, event.type, reason, text, "Report")

    def _tell(self, job: JobView, note: Note) -> None:
        about = control_events.reference(
            {
                "apiVersion": JOBS.api_version,
                "kind": JOBS.kind,
                "metadata": {"namespace": job.namespace, "name": job.name, "uid": job.uid},
            }
        )
        self._record(about, note.type, note.reason, note.message, "Reconcile")

    def _record(
        self, about: tuple[tuple[str, str], ...], kind: Any, reason: str, text: str, action: str
    ) -> None:
        self._recorder.record(
            control_events.Note(
                about=about,
                type=kind,
                reason=reason,
                # It may quote a tenant: one line, in which nothing steers a terminal.
                text=shorten(text, CONDITION_MESSAGE),
                action=action,
            )
        )


def _claim(client: Client, clock: Clock, settings: Settings, owner: Owner) -> WatchClaim:
    release = f"{settings.namespace}/{settings.lease_name}"
    return WatchClaim(
        client,
        clock,
        settings.claims_namespace,
        Claim(holder=release, watches=frozenset(settings.namespaces)),
        settings.claim_seconds,
        owner.references,
    )


def _lease(
    client: Client, clock: Clock, entropy: Entropy, settings: Settings, owner: Owner
) -> LeaderLease:
    return LeaderLease(
        client,
        clock,
        entropy,
        namespace=settings.namespace,
        lease=settings.lease_name,
        name=settings.pod_name,
        times=LeaseTimes(
            lease=settings.lease_seconds,
            renew_deadline=settings.renew_deadline_seconds,
            retry=settings.retry_seconds,
        ),
        owners=owner.references,
    )


def _address(settings: Settings) -> ServiceAddress:
    return ServiceAddress(
        namespace=settings.namespace,
        service=settings.reports_service,
        address=settings.pod_ip,
        port=settings.reports_port,
        port_name="reports",
        manager=names.FIELD_MANAGER,
    )
