"""A snapshot, classified once: which policy rules, and which pods are what.

Every step of the plan reads this and the ledger it is handed; none looks at raw pods again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from spot_operator.api.policy import PolicySpec
from spot_operator.domain.ledger import Ledger, RankRecord
from spot_operator.domain.policy_choice import Hindrance, choose_policy
from spot_operator.domain.snapshot import JobView, PodView, ReportView, Snapshot


@dataclass(frozen=True, slots=True)
class Scene:
    """What the steps of one pass look at."""

    snapshot: Snapshot
    job: JobView
    policy_name: str
    policy: PolicySpec
    hindrance: Hindrance | None
    """Why the policy allows no new attempt."""
    workers: int = 1

    @property
    def now(self) -> datetime:
        """The instant of the pass."""
        return self.snapshot.now

    @property
    def unreachable_after(self) -> timedelta:
        """How long a node must be silent to count as lost."""
        return self.policy.unreachable.after

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

    def pod_name(self, attempt: int, rank: int) -> str:
        """The one name a pod of that attempt and rank can have."""
        return f"{self.job.name}-{attempt}-{rank}"

    def pod_of(self, record: RankRecord) -> PodView | None:
        """The pod of that record, or its tombstone."""
        return next((pod for pod in self.snapshot.pods if pod.uid == record.uid), None)

    def report_of(self, record: RankRecord) -> ReportView | None:
        """The newest report of that rank, if this leader had one."""
        return self.snapshot.reports.get(record.uid)

    def pods_of(self, attempt: int, rank: int) -> list[PodView]:
        """Our pods of that rank, tombstones included, the oldest first."""
        found = (one for one in self._ours() if (one.attempt, one.rank) == (attempt, rank))
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
        return (pod for pod in self.snapshot.pods if pod.owner_uid == self.job.uid)


def look(snapshot: Snapshot, job: JobView) -> Scene:
    """Classify `snapshot` for `job`, which is its job."""
    choice = choose_policy(job, snapshot.policies)
    return Scene(
        snapshot=snapshot,
        job=job,
        policy_name=choice.policy.name,
        policy=choice.policy.spec,
        hindrance=choice.hindrance,
    )
