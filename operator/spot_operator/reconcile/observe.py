"""From caches, report book and clock to a snapshot of one job. Reads only; waits for nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from spot_operator.control.clock import Clock, Entropy
from spot_operator.control.informer import Informer
from spot_operator.domain.ledger import Ledger
from spot_operator.domain.snapshot import (
    JobKey,
    NodeView,
    PodView,
    PolicyView,
    ReportView,
    Sight,
    Snapshot,
)
from spot_operator.domain.status import ledger_of
from spot_operator.reconcile.caches import Caches
from spot_operator.reconcile.findings import Findings
from spot_operator.reconcile.lease_ages import LeaseAges
from spot_operator.reconcile.parsed import Parsed
from spot_operator.reconcile.pod_view import pod_view
from spot_operator.reconcile.tombstones import Tombstones
from spot_operator.reconcile.views import job_view, node_view, policy_view
from spot_operator.reports.book import ReportBook

__all__ = ["Observer", "UnreadableStatus"]

Json = dict[str, Any]


class UnreadableStatus(Exception):  # noqa: N818 - a state of the object, not of the program
    """A job's status is none of ours: acting on it could double attempts or lose charges."""


@dataclass(slots=True)
class Observer:
    """Everything a snapshot is made of. `leading_since`: monotonic, once the caches are synced."""

    caches: Caches
    book: ReportBook
    leases: LeaseAges
    tombstones: Tombstones
    findings: Findings
    clock: Clock
    entropy: Entropy
    leading_since: float | None = None
    _views: "_Views" = field(init=False)

    def __post_init__(self) -> None:
        self._views = _Views(self.caches)

    def observe(self, key: JobKey) -> Snapshot:
        """The job and all that bears on it, now. To be used before the caches move on.

        Raises:
            UnreadableStatus: somebody else wrote the job's status.
        """
        job = self.caches.jobs.named(key.name, key.namespace)
        everything = tuple(self._pods(key))
        pods = tuple(pod for pod in everything if pod.purge is None)
        finding = self.findings.about(key)
        return Snapshot(
            key=key,
            now=self.clock.now(),
            job=None if job is None else self._views.jobs.of(job),
            ledger=Ledger() if job is None else self._ledger(job),
            sight=self._sight(),
            policies=tuple(self._policies()),
            pods=pods,
            purges=tuple(pod for pod in everything if pod.purge is not None),
            foreign=frozenset(finding.foreign),
            nodes=_Nodes(self.caches.nodes, self._views.nodes, self.leases),
            reports=self._reports(pods),
            noticed_nodes=self._noticed_nodes(),
            refusal=finding.refusal,
            draw=self.entropy.uniform(0.0, 1.0),
            namespace_terminating=finding.namespace_terminating,
        )

    def _ledger(self, job: Json) -> Ledger:
        try:
            return self._views.ledgers.of(job)
        except (ValidationError, ValueError) as error:
            raise UnreadableStatus(str(error)) from error

    def _pods(self, key: JobKey) -> Iterator[PodView]:
        for pod in self.caches.pods_of(key):
            yield self._views.pods.of(pod)
        for pod in self.tombstones.of(key.namespace, key.name):
            yield pod_view(pod, gone=True)

    def _policies(self) -> Iterator[PolicyView]:
        for policy in self.caches.policies.items():
            view = self._views.policies.of(policy)
            if view is not None:
                yield view

    def _sight(self) -> Sight:
        since = self.leading_since
        return Sight(
            fresh=since is not None and self.caches.fresh(),
            leading_for=0.0 if since is None else self.clock.monotonic() - since,
            leases=self.leases.all_now(),
        )

    def _reports(self, pods: tuple[PodView, ...]) -> Mapping[str, ReportView]:
        found = ((pod.uid, self.book.view(pod.uid)) for pod in pods)
        return {uid: view for uid, view in found if view is not None}

    def _noticed_nodes(self) -> frozenset[str]:
        pods = (self.caches.pods.get(uid) for uid in self.book.preempted_pods())
        return frozenset(pod["spec"]["nodeName"] for pod in pods if pod and _bound(pod))


class _Views:
    """What is parsed once per version of an object."""

    def __init__(self, caches: Caches) -> None:
        self.jobs = Parsed(caches.jobs, job_view)
        self.ledgers = Parsed(caches.jobs, lambda job: ledger_of(job.get("status")))
        self.policies = Parsed(caches.policies, _policy_or_none)
        self.pods = Parsed(caches.pods, pod_view)
        self.nodes = Parsed(caches.nodes, node_view)


class _Nodes(Mapping[str, NodeView]):
    """The nodes by name, with the ages of their leases; each is made when it is looked at."""

    def __init__(self, nodes: Informer, views: Parsed[NodeView], leases: LeaseAges) -> None:
        self._nodes = nodes
        self._views = views
        self._leases = leases

    def __getitem__(self, name: str) -> NodeView:
        node = self._nodes.named(name)
        if node is None:
            raise KeyError(name)
        return replace(self._views.of(node), lease_age=self._leases.age(name))

    def __iter__(self) -> Iterator[str]:
        return iter([node["metadata"]["name"] for node in self._nodes.items()])

    def __len__(self) -> int:
        return len(self._nodes.store)


def _policy_or_none(policy: Json) -> PolicyView | None:
    # One stored under other rules is as good as absent: jobs that need it say so.
    try:
        return policy_view(policy)
    except ValidationError:
        return None


def _bound(pod: Json) -> bool:
    return bool(pod["spec"].get("nodeName"))
