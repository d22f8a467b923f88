"""Everything a decision may look at, frozen.

`observe` builds a Snapshot from caches, the report book and the clock. Wall-clock times are aware
and in UTC; ages are seconds on this leader's own monotonic clock, counted from what it saw itself,
so that no other machine's clock can end an attempt.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from spot_operator.api.job import JobSpec
from spot_operator.api.names import FINALIZER, TRAINER_CONTAINER
from spot_operator.api.policy import PolicySpec
from spot_operator.domain.state.ledger import (
    CommitRef,
    Interval,
    Ledger,
    MemoryKills,
    NodeIdentity,
    Notice,
    Word,
)

Sign = tuple[str, Hashable]
"""What may last, and which of its kind; see `domain.observed.elapsed`."""


HEARD_SECONDS: Final = 60.0
"""A pod is heard of while its last report is at most so old: twice the longest interval."""
GATED: Final = "SchedulingGated"
"""The reason of PodScheduled while a pod has scheduling gates."""


def trainer_of(containers: Sequence[str]) -> str:
    """The name of the one that trains: it is called so, or the first, which with one is the only
    one; empty without any."""
    if TRAINER_CONTAINER in containers:
        return TRAINER_CONTAINER
    return containers[0] if containers else ""


@dataclass(frozen=True, slots=True)
class JobKey:
    """What the work queue holds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class JobView:
    """A SpotTrainingJob."""

    uid: str
    name: str
    namespace: str
    generation: int
    resource_version: str
    spec: JobSpec
    created_at: datetime
    deleting: bool = False
    finalizers: tuple[str, ...] = ()
    refusal: str | None = None
    """Why this spec cannot run, and what to change, for what the API server cannot check."""
    unreadable: tuple[str, ...] = ()
    """Fields, as `spec.checkpoint.keep`, that were stored under other rules.

    Something stands in their place in `spec`: nothing may be decided that depends on it.
    """

    @property
    def held(self) -> bool:
        """Whether our finalizer keeps it until its checkpoints are deleted."""
        return FINALIZER in self.finalizers

    @property
    def trainer(self) -> str:
        """The name of the container that trains; empty for a template that has none."""
        pod = self.spec.template.get("spec") or {}
        return trainer_of([one["name"] for one in pod.get("containers") or ()])

    @property
    def containers(self) -> frozenset[str]:
        """The names of all containers of the job's template; a pod may have more, by webhooks."""
        pod = self.spec.template.get("spec") or {}
        lists = (pod.get(kind) or () for kind in ("initContainers", "containers"))
        return frozenset(one["name"] for containers in lists for one in containers)

    @property
    def volumes(self) -> frozenset[str]:
        """The names of all volumes of the job's template."""
        pod = self.spec.template.get("spec") or {}
        return frozenset(one["name"] for one in pod.get("volumes") or ())

    @property
    def priority_class(self) -> str | None:
        """The priority class of the job's pods, by which its policy is chosen."""
        pod = self.spec.template.get("spec") or {}
        name = pod.get("priorityClassName")
        return name if isinstance(name, str) and name else None


@dataclass(frozen=True, slots=True)
class PolicyView:
    """A SpotPolicy."""

    name: str
    spec: PolicySpec
    unreadable: str = ""
    """Why it cannot be read: it was stored under other rules. `spec` then says whom it claims."""


@dataclass(frozen=True, slots=True)
class ContainerView:
    """The status of one container of a pod; all None before the kubelet wrote any."""

    name: str = ""
    state: Literal["waiting", "running", "terminated"] | None = None
    reason: str = ""
    """Of the state: `ImagePullBackOff`, `OOMKilled`, `Error` …"""
    message: str = ""
    """Of the state; for a terminated container its termination message."""
    exit_code: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    restarts: int = 0
    last_message: str = ""
    """The termination message of the run before this one (`lastState`)."""
    last_reason: str = ""
    """Why the run before this one ended: `OOMKilled`, `Error` …"""
    sick_device: str = ""
    """A device of its own, and its resource, which the kubelet says is not healthy."""
    is_init: bool = False
    """An init container, be it one that stays: the kubelet ends those itself, after all others."""
    stays: bool = False
    """An init container that runs on beside the trainer."""
    probed: bool = False
    """It runs, and its startup probe has not passed yet."""

    @property
    def ended(self) -> bool:
        """Whether its process is over."""
        return self.state == "terminated"

    @property
    def holds(self) -> bool:
        """Whether the trainer cannot begin before it is over, or its startup probe has passed."""
        return self.is_init and self.state == "running" and (self.probed or not self.stays)

    @property
    def started(self) -> bool:
        """Whether this container's process ever ran."""
        return self.state == "running" or self.started_at is not None


@dataclass(frozen=True, slots=True)
class ConditionView:
    """A condition of a pod or node."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    since: datetime | None = None
    """`lastTransitionTime`."""


@dataclass(frozen=True, slots=True)
class PodView:
    """A pod that carries our label.

    With `gone` the pod is no longer in the API server and this is the state it was last seen in
    (the object of the DELETED event). `observe` keeps such a tombstone while the job's attempt is
    the pod's.
    """

    name: str
    uid: str
    attempt: int
    rank: int
    purge: int | None = None
    """Of the pod that deletes the job's lineage: the number of the try. It has no attempt."""
    owner_uid: str = ""
    """Uid of the controlling SpotTrainingJob; empty when the pod has none."""
    phase: str = "Pending"
    gone: bool = False
    deletion_at: datetime | None = None
    grace_seconds: int = 30
    """`deletionGracePeriodSeconds` once it is being deleted, else the spec's grace period."""
    reason: str = ""
    message: str = ""
    conditions: tuple[ConditionView, ...] = ()
    node_name: str | None = None
    """None: it has none. Empty, of one that is gone: it had none when it was seen last, and may
    have been given one before its end."""
    node_identity: NodeIdentity | None = None
    """What our annotation says."""
    trainer: ContainerView = ContainerView(name="trainer")
    """Of one that was started again although nothing may do that: how its run before ended."""
    sidecar: ContainerView = ContainerView(name="spot-sidecar")
    others: tuple[ContainerView, ...] = ()
    """Every other container, init containers first: the template's and those of webhooks."""
    created_at: datetime | None = None
    unschedulable: str | None = None
    """What a scheduler says, while it does not place the pod, for whatever reason."""
    avoids: tuple[str, ...] = ()
    """Names of the nodes that it can never be bound to, because they were to be avoided."""
    grant: str | None = None
    """The grant annotation, raw."""
    notice: Notice | None = None
    """What our notice annotation says."""
    trusts: str = ""
    """The certificates that it was told to trust for reports."""
    told_of_end: bool = False
    """Whether our annotation tells its sidecar that the trainer has ended."""

    @property
    def terminal(self) -> bool:
        """Whether the kubelet (or the pod collector) said that the pod is over."""
        return self.phase in {"Succeeded", "Failed"}

    @property
    def ends_by_itself(self) -> bool:
        """Whether nothing runs in it, its trainer over, but what the kubelet then ends itself."""
        beside = (one for one in self.others if not one.is_init)
        return self.trainer.restarts == 0 and all(one.ended for one in beside)

    @property
    def gated(self) -> bool:
        """Whether no scheduler looks at it before somebody removes its scheduling gates."""
        return any(one.type == "PodScheduled" and one.reason == GATED for one in self.conditions)

    def condition(self, kind: str) -> ConditionView | None:
        """The condition of that type when it is True."""
        found = (one for one in self.conditions if one.type == kind and one.status == "True")
        return next(found, None)


@dataclass(frozen=True, slots=True)
class TaintView:
    """A taint of a node."""

    key: str
    value: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node as its object and its lease show it."""

    name: str
    uid: str
    boot_id: str
    ready: bool = True
    ready_reason: str = ""
    ready_message: str = ""
    unschedulable: bool = False
    taints: tuple[TaintView, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    conditions: tuple[ConditionView, ...] = ()
    lease_age: float | None = None
    """Seconds since this leader saw the lease renewed (the first sight counts); None: no lease."""

    @property
    def identity(self) -> NodeIdentity:
        """What makes it the same machine in the same boot."""
        return NodeIdentity(name=self.name, uid=self.uid, boot_id=self.boot_id)


@dataclass(frozen=True, slots=True)
class ResumeReport:
    """What the attempt resumed from."""

    decision: Literal["fresh", "checkpoint", "completed", "stop"]
    source: CommitRef | None = None
    """The checkpoint; None unless the decision is `checkpoint`."""
    inherited: bool = False
    """Whether it is another job's, which `resumeFrom` names."""


@dataclass(frozen=True, slots=True)
class CommitReport:
    """The newest commit of the reporting attempt."""

    ref: CommitRef
    committed_at: datetime
    bytes: int = 0
    write_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps a sidecar from its work."""

    kind: str
    message: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReportView:
    """The newest report of one pod, from the book of this leader."""

    age: float
    """Seconds since it was received."""
    step_age: float
    """Seconds since the reported step, state or announced silence was seen to change.

    Counted from this leader's first report of it at the longest.
    """
    word_age: float | None = None
    """Seconds since the word was first received; None without one."""
    state: str = "Waiting"
    registered: bool = False
    step: int = 0
    samples: int = 0
    epoch: int = 0
    stepping: float | None = None
    """Seconds since its first own step when it reported; None: it made none, or does not say."""
    busy: str | None = None
    resume: ResumeReport | None = None
    commit: CommitReport | None = None
    found: CommitRef | None = None
    """A checkpoint that the grant did not name, and a script could not be told of."""
    commits: int = 0
    """Commits of this attempt so far."""
    commit_age: float = 0.0
    """Seconds since the reported commit, state or announced silence was seen to change."""
    interval: Interval | None = None
    """The time between checkpoints, with what it follows from."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Cumulative seconds of this attempt by bucket: startUp, restore, productive, replayed, …"""
    notice: Notice | None = None
    word: Word | None = None
    memory: MemoryKills | None = None
    problem: Problem | None = None
    settled: bool = False
    """The trainer has ended, and nothing waits to be stored any more."""
    quarantined: tuple[tuple[str, str], ...] = ()
    """(checkpoint id, why)."""

    @property
    def steps_itself(self) -> bool:
        """Whether this attempt has made a step of its own: where it resumed from does not count."""
        if self.resume is None:
            return False
        begun_at = self.resume.source.step if self.resume.source is not None else 0
        return self.step > begun_at


STATUS_WRITE: Final = "write the status of the job"
"""What a pass that persists asks for."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the API server answered to our last try of a write that the job needs.

    Cleared by a success, or when the write is needed no more.
    """

    pod: str
    """Name of the pod that was to be created; empty for every other write."""
    code: int
    message: str
    what: str = ""
    """What was asked for, as in "refuses to …"."""
    tries: int = 1
    told: bool = True
    """Whether people are told: at once of a definite answer, after some tries of one that may
    pass."""
    added: str = ""
    """The part of the pod that the answer names and the operator did not post, as
    `spec.containers[1]`: a webhook added it. Empty: there is none."""

    @property
    def by_webhook(self) -> bool:
        """Whether an admission webhook answered, which knows other rules than the server's."""
        return "admission webhook" in self.message or "failed calling webhook" in self.message


@dataclass(frozen=True, slots=True)
class Visibility:
    """How far this leader's own eyes may be trusted."""

    fresh: bool
    """Every watch has synced and has been heard of within the last 70 s."""
    leading_for: float
    """Seconds since this process leads and its caches have synced."""
    leases: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """By node: ages of the renewals this leader saw, newest first; the first sight is the last.

    As many as cover ten minutes, or twice the longest `unreachable.after` of any policy. The
    initial list is stamped with one instant.
    """
    hearing_for: float = math.inf
    """Seconds for which reports have been able to reach this leader, as far as lies with it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One job and all that bears on it, at one instant."""

    key: JobKey
    now: datetime
    job: JobView | None
    ledger: Ledger
    visibility: Visibility
    policies: tuple[PolicyView, ...] = ()
    pods: tuple[PodView, ...] = ()
    """Pods with our label of this job name, those of a former job of that name included."""
    purges: tuple[PodView, ...] = ()
    """Pods that delete the lineage of the job; they are in `pods` never."""
    foreign: frozenset[str] = frozenset()
    """Names our pods would have that POST found taken by somebody else's pod."""
    nodes: Mapping[str, NodeView] = field(default_factory=dict)
    reports: Mapping[str, ReportView] = field(default_factory=dict)
    """By pod uid."""
    trusted: str = ""
    """The certificates that pods are to trust for reports; empty: nothing is known of any."""
    noticed_nodes: frozenset[str] = frozenset()
    """Nodes for which a sidecar of this namespace now reports a Preempt notice, which taints
    nothing."""
    doubted_nodes: frozenset[str] = frozenset()
    """Nodes for which a sidecar of another namespace does. Its word is that of whoever may create
    pods there: it never keeps a job of this namespace off every node."""
    refusal: Refusal | None = None
    """Of the last POST of a pod."""
    refusals: tuple[Refusal, ...] = ()
    """Of every other write, those that people are told of."""
    unkept: frozenset[str] = frozenset()
    """Paths of the status that the API server does not keep, of whatever job."""
    draw: float = 0.0
    """Uniform in [0, 1), drawn once per snapshot, for jitter."""
    namespace_terminating: bool = False
    """The API server said within the last minute that nothing new can be created there."""
    namespace_goes: bool = False
    """It said so to the last POST, however long ago: people are told until it says otherwise."""
    seen: Mapping[Sign, float] = field(default_factory=dict)
    """Seconds since this leader first saw what lasts, on its monotonic clock; see `elapsed`."""
