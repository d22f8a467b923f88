"""A snapshot, classified once: which policy rules, and which pods are what.

Every step of the plan reads this and the ledger it is handed; none looks at raw pods again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from spot_operator.api import names
from spot_operator.api.names import Reason
from spot_operator.api.policy import MAX_UNREACHABLE, PolicySpec
from spot_operator.domain.observed.elapsed import demoted, span
from spot_operator.domain.observed.policy_choice import (
    PATIENCE,
    Choice,
    PolicyBlock,
    awaiting,
    choose_policy,
    demoted_from,
    in_doubt_of,
)
from spot_operator.domain.observed.snapshot import JobView, PodView, ReportView, Snapshot
from spot_operator.domain.state.ledger import Claim, Ledger, RankRecord

GOING: Final = (
    "the API server says that the namespace is being deleted and that no pod can be created in it; "
    "we ask again every minute. If the namespace is to stay, look at what is deleting it"
)


@dataclass(frozen=True, slots=True)
class Context:
    """What the steps of one pass look at."""

    snapshot: Snapshot
    job: JobView
    policy_name: str
    policy: PolicySpec
    policy_claim: Claim
    policy_block: PolicyBlock | None
    """Why no attempt may start."""
    in_doubt: bool = False
    """It is not known which rules hold: no pod is made, nothing is charged or final."""
    patience: timedelta | None = None
    """How long the policy that ruled the job is still waited for; None: it is not."""
    workers: int = 1

    @property
    def now(self) -> datetime:
        """The instant of the pass."""
        return self.snapshot.now

    @property
    def unreachable_after(self) -> timedelta:
        """How long a node must be silent to count as lost.

        The longest where it is not known which policy says so: a loss is not taken back.
        """
        return MAX_UNREACHABLE if self.in_doubt else self.policy.unreachable.after

    @property
    def max_lost_work(self) -> timedelta | None:
        """The most work a loss without warning may cost: what the job or its policy asks for."""
        asked = (self.job.spec.checkpoint.max_lost_work, self.policy.checkpoint.max_lost_work)
        return min((one for one in asked if one is not None), default=None)

    @property
    def is_script(self) -> bool:
        """Whether the trainer knows nothing of us, and its sidecar watches a directory."""
        return self.job.spec.checkpoint.source.directory is not None

    @property
    def persisted(self) -> Ledger:
        """The ledger as it stands in the API server."""
        return self.snapshot.ledger

    @property
    def barred(self) -> bool:
        """Whether no pod may be created, not even of an attempt that has its number."""
        return self.policy_block is not None and self.policy_block.bars_pods

    def pod_name(self, attempt: int, rank: int) -> str:
        """The one name a pod of that attempt and rank can have."""
        return names.pod_name(self.job.name, attempt, rank)

    def is_named(self, pod: PodView) -> bool:
        """Whether `pod` has the name that its labels give it; anybody may change labels."""
        return pod.rank < self.workers and pod.name == self.pod_name(pod.attempt, pod.rank)

    def pod_of(self, record: RankRecord) -> PodView | None:
        """The pod of that record, or its tombstone."""
        return next((pod for pod in self.snapshot.pods if pod.uid == record.uid), None)

    def report_of(self, record: RankRecord) -> ReportView | None:
        """The newest report of that rank, if this leader had one."""
        return self.snapshot.reports.get(record.uid)

    def pods_of(self, attempt: int, rank: int) -> list[PodView]:
        """Our pods of that rank, tombstones included, the oldest first."""
        name = self.pod_name(attempt, rank)
        found = (
            one
            for one in self._ours()
            if (one.name, one.attempt, one.rank) == (name, attempt, rank)
        )
        return sorted(found, key=lambda one: (one.created_at or self.now, one.uid))

    def present(self) -> Iterator[PodView]:
        """Every pod of ours that is in the API server."""
        return (pod for pod in self._ours() if not pod.gone)

    def former(self) -> Iterator[PodView]:
        """Present pods of a former job of this name."""
        owners = {"", self.job.uid}
        everything = (*self.snapshot.pods, *self.snapshot.purges)
        return (pod for pod in everything if not pod.gone and pod.owner_uid not in owners)

    def _ours(self) -> Iterator[PodView]:
        """Those on record are ours whoever took the owner reference away; but a job that is deleted
        may have been told to leave them (`--cascade=orphan`)."""
        known = () if self.job.deleting else {one.uid for one in self.persisted.ranks}
        return (
            pod
            for pod in self.snapshot.pods
            if pod.owner_uid == self.job.uid or (not pod.owner_uid and pod.uid in known)
        )


def context_of(snapshot: Snapshot, job: JobView) -> Context:
    """Classify `snapshot` for `job`, which is its job."""
    choice, patience = _ruling(snapshot, job)
    policy_block = _unread(job) or choice.policy_block
    doubt = policy_block is not None
    if snapshot.namespace_terminating:
        policy_block = PolicyBlock(Reason.NAMESPACE_TERMINATING, GOING, bars_pods=True)
    return Context(
        snapshot=snapshot,
        job=job,
        policy_name=choice.policy.name,
        policy=choice.policy.spec,
        policy_claim=choice.claim,
        policy_block=policy_block,
        in_doubt=doubt,
        patience=patience,
    )


def _ruling(snapshot: Snapshot, job: JobView) -> tuple[Choice, timedelta | None]:
    """The policy that rules, and how long the former one is still waited for."""
    choice = choose_policy(job, snapshot.policies)
    former = demoted_from(job, snapshot.ledger, choice)
    if former is None:
        return choice, None
    unread = in_doubt_of(choice, former, snapshot.policies)
    if unread is not None:
        return unread, None
    patience = PATIENCE - span(snapshot.seen.get(demoted(former), 0.0))
    if patience <= timedelta(0):
        return choice, None
    return awaiting(choice, former), patience


def _unread(job: JobView) -> PolicyBlock | None:
    if not job.unreadable:
        return None
    return PolicyBlock(Reason.INVALID_SPEC, job.refusal or ", ".join(job.unreadable))
