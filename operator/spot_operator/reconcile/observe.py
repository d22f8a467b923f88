"""From caches, report book and clock to a snapshot of one job. Reads only; waits for nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypedDict

from pydantic import ValidationError

from spot_operator.api import names
from spot_operator.control.clock import Clock, Entropy
from spot_operator.control.informer import Informer
from spot_operator.domain.observed.elapsed import demoted, signs
from spot_operator.domain.observed.policy_choice import choose_policy, demoted_from
from spot_operator.domain.observed.snapshot import (
    JobKey,
    JobView,
    NodeView,
    PodView,
    PolicyView,
    ReportView,
    Sign,
    Snapshot,
    Visibility,
)
from spot_operator.domain.state.ledger import Ledger
from spot_operator.domain.state.status import ledger_of
from spot_operator.reconcile.api_feedback import ApiFeedback
from spot_operator.reconcile.caches import Caches
from spot_operator.reconcile.first_seen import FirstSeen
from spot_operator.reconcile.lease_ages import LeaseAges
from spot_operator.reconcile.parse_cache import ParseCache
from spot_operator.reconcile.pod_view import pod_view
from spot_operator.reconcile.tombstones import Tombstones
from spot_operator.reconcile.trim import trim_pod
from spot_operator.reconcile.unkept import Unkept
from spot_operator.reconcile.views import job_view, node_view, policy_view
from spot_operator.reports.book import ReportBook

__all__ = ["Observer", "UnreadableStatus"]

Json = dict[str, Any]


WITNESSED: Final = 2
"""A silent node is judged soon after `unreachable.after`; its witnesses were seen before that."""


class UnreadableStatus(Exception):  # noqa: N818 - a state of the object, not of the program
    """Not a status of this operator: acting on it could double attempts or lose charges."""


@dataclass(slots=True)
class Observer:
    """Everything a snapshot is made of. `leading_since`: monotonic, once the caches are synced."""

    caches: Caches
    book: ReportBook
    leases: LeaseAges
    tombstones: Tombstones
    findings: ApiFeedback
    clock: Clock
    entropy: Entropy
    leading_since: float | None = None
    hearing: Callable[[], float] = lambda: float("inf")
    """Seconds for which reports have been able to reach us."""
    trusted: Callable[[], str] = str
    """The certificates that pods are to trust for reports (PEM); empty while there is none."""
    unkept: Unkept = field(init=False)
    _views: "_Views" = field(init=False)
    _sights: FirstSeen = field(init=False)

    def __post_init__(self) -> None:
        self.unkept = Unkept(self.clock)
        self._views = _Views(self.caches)
        self._sights = FirstSeen(self.clock)

    def job(self, key: JobKey) -> JobView | None:
        """The job alone, whatever its status says; None: it is gone."""
        job = self.caches.jobs.named(key.name, key.namespace)
        return None if job is None else self._views.jobs.of(job)

    def observe(self, key: JobKey, hidden: Sequence[Json] = ()) -> Snapshot:
        """The job and all that bears on it, now. To be used before the caches move on.

        `hidden` are pods that the API server has and the caches do not show.

        Raises:
            UnreadableStatus: somebody else wrote the job's status.
        """
        job = self.caches.jobs.named(key.name, key.namespace)
        view = None if job is None else self._views.jobs.of(job)
        ledger = Ledger() if job is None else self._ledger(job)
        policies = tuple(self._policies())
        self.leases.compare_over(WITNESSED * _longest_silence(policies))
        everything = tuple(self._pods(key, "" if view is None else view.trainer, hidden))
        pods = tuple(pod for pod in everything if pod.purge is None)
        uid = "" if job is None else job["metadata"]["uid"]
        finding = self.findings.about(key, uid)
        return Snapshot(
            key=key,
            now=self.clock.now(),
            job=view,
            ledger=ledger,
            visibility=self._sight(key.namespace),
            policies=policies,
            pods=pods,
            purges=tuple(pod for pod in everything if pod.purge is not None),
            foreign=frozenset(finding.foreign),
            nodes=_Nodes(self.caches.nodes, self._views.nodes, self.leases),
            reports=self._reports(pods),
            trusted=self.trusted(),
            **self._noticed_nodes(key.namespace),
            refusal=finding.creation,
            refusals=finding.others,
            unkept=self.unkept.paths,
            draw=self.entropy.uniform(0.0, 1.0),
            namespace_terminating=self.findings.namespace_terminating(key, uid),
            namespace_goes=self.findings.namespace_goes(key, uid),
            seen=self._seen(key, view, ledger, (policies, everything)),
        )

    def _seen(
        self,
        key: JobKey,
        job: JobView | None,
        ledger: Ledger,
        around: tuple[tuple[PolicyView, ...], tuple[PodView, ...]],
    ) -> Mapping[Sign, float]:
        """For how long this leader has seen what lasts."""
        if job is None:
            self._sights.forget(key)
            return {}
        policies, pods = around
        former = demoted_from(job, ledger, choose_policy(job, policies))
        gone = () if former is None else (demoted(former),)
        return self._sights.ages(key, job.uid, (*signs(ledger, pods), *gone))

    def _ledger(self, job: Json) -> Ledger:
        try:
            return self._views.ledgers.of(job)
        except (ValidationError, ValueError) as error:
            raise UnreadableStatus(str(error)) from error

    def _pods(self, key: JobKey, trainer: str, hidden: Sequence[Json]) -> Iterator[PodView]:
        instead = {pod["metadata"]["uid"] for pod in hidden}
        for pod in hidden:
            yield pod_view(trim_pod(pod), trainer=trainer)
        for pod in self.caches.pods_of(key):
            if pod["metadata"]["uid"] in instead:
                continue
            # The view of a pod that does not name its trainer depends on its job as well.
            named = names.ANNOTATION_TRAINER in pod["metadata"]["annotations"]
            yield self._views.pods.of(pod) if named else pod_view(pod, trainer=trainer)
        for pod in self.tombstones.of(key.namespace, key.name):
            if pod["metadata"]["uid"] in instead:
                continue
            yield pod_view(pod, gone=True, trainer=trainer)

    def _policies(self) -> Iterator[PolicyView]:
        for policy in self.caches.policies.items():
            yield self._views.policies.of(policy)

    def _sight(self, namespace: str) -> Visibility:
        since = self.leading_since
        return Visibility(
            fresh=since is not None and self.caches.fresh(namespace),
            leading_for=0.0 if since is None else self.clock.monotonic() - since,
            leases=self.leases.all_now(),
            hearing_for=self.hearing(),
        )

    def _reports(self, pods: tuple[PodView, ...]) -> Mapping[str, ReportView]:
        found = ((pod.uid, self.book.view(pod.uid)) for pod in pods)
        return {uid: view for uid, view in found if view is not None}

    def _noticed_nodes(self, namespace: str) -> "_Noticed":
        """Only a pod of a job that is there is believed, and more by jobs of its own namespace."""
        pods = (self.caches.pods.get(uid) for uid in self.book.preempted_pods())
        bound = [pod for pod in pods if pod and _bound(pod) and self.caches.job_of(pod)]
        near = {_node(pod) for pod in bound if pod["metadata"]["namespace"] == namespace}
        return _Noticed(
            noticed_nodes=frozenset(near),
            doubted_nodes=frozenset(map(_node, bound)) - near,
        )


class _Noticed(TypedDict):
    """Fields of a snapshot."""

    noticed_nodes: frozenset[str]
    doubted_nodes: frozenset[str]


class _Views:
    """What is parsed once per version of an object."""

    def __init__(self, caches: Caches) -> None:
        self.jobs = ParseCache(caches.jobs, job_view)
        self.ledgers = ParseCache(caches.jobs, lambda job: ledger_of(job.get("status")))
        self.policies = ParseCache(caches.policies, policy_view)
        self.pods = ParseCache(caches.pods, pod_view)
        self.nodes = ParseCache(caches.nodes, node_view)


class _Nodes(Mapping[str, NodeView]):
    """The nodes by name, with the ages of their leases; each is made when it is looked at."""

    def __init__(self, nodes: Informer, views: ParseCache[NodeView], leases: LeaseAges) -> None:
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


def _longest_silence(policies: tuple[PolicyView, ...]) -> float:
    longest = (one.spec.unreachable.after.total_seconds() for one in policies)
    return max(longest, default=0.0)


def _bound(pod: Json) -> bool:
    return bool(_node(pod))


def _node(pod: Json) -> str:
    return pod["spec"].get("nodeName") or ""
