"""What the operator remembers of a job: the whole of `status`, as values.

The ledger is written by one status PUT per pass and acted on only when it is seen persisted.
Everything a decision needs after a crash is here; everything else may be forgotten.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

from spot_operator.api.names import Bucket, Condition, Ending, Reason, State

Loss = Literal["Saved", "Lost"]


class Charge(StrEnum):
    """Which budget an ending was charged to."""

    INTERRUPTION = "Interruption"
    FAILURE = "Failure"


class Claim(StrEnum):
    """By what a policy rules a job."""

    NAME = "Name"
    """The job names it."""
    PRIORITY_CLASS = "PriorityClass"
    """It lists the priority class of the job's pods."""
    DEFAULT = "Default"
    """It is the default."""
    NONE = "None"
    """There is no default: the built-in one rules."""


class Fence(StrEnum):
    """Why a process on a node can no longer extend the lineage."""

    NODE_GONE = "NodeGone"
    """The node object was deleted."""
    NODE_REPLACED = "NodeReplaced"
    """The node object has another uid."""
    NODE_REBOOTED = "NodeRebooted"
    """The node has another boot id."""
    OUT_OF_SERVICE = "OutOfService"
    """Somebody put the out-of-service taint on the node."""
    NODE_LOST = "NodeLost"
    """The node's lease and the pod's reports are silent, and our own eyes are good."""


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """A machine in one of its boots."""

    name: str
    uid: str
    boot_id: str


@dataclass(frozen=True, slots=True)
class CommitRef:
    """A checkpoint that was committed."""

    attempt: int
    step: int
    id: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning, normalised; `deadline` None when the source gives none."""

    kind: Literal["Preempt", "Rebalance", "Maintenance", "PodDeletion"]
    deadline: datetime | None
    source: str
    observed_at: datetime
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Word:
    """What the trainer, or the sidecar on its behalf, last said."""

    word: str
    """`Finished`, `Paused`, `Refused`, `NoValidCheckpoint`, `Superseded`, `StartedAgain` …"""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MemoryKills:
    """What the kernel killed in the trainer's container for want of memory, before its end."""

    oom: int
    """How often an allocation failed at the container's own limit."""
    oom_kill: int
    """How many of its processes were killed, by whatever want of memory."""
    limit_bytes: int | None = None
    """What the container may use; None: no limit, or not known."""
    seconds_before_end: float | None = None
    """From the last one to the trainer's end; None: the trainer lives on."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a pod from starting, since when we see it."""

    family: str
    """What is at fault (`attempt.start_problems.Family`): a retry changes the reason, not this."""
    reason: str
    message: str
    since: datetime
    patience: int
    """Seconds it may last before the attempt is given up."""


@dataclass(frozen=True, slots=True)
class RankEnd:
    """The evidence of how a rank ended."""

    at: datetime
    """When we saw it."""
    exit_code: int | None = None
    reason: str = ""
    """The trainer container's: `OOMKilled`, `Error`, `StartError` …"""
    pod_reason: str = ""
    """The pod's: `Evicted`, `Terminated`, `OutOfcpu` …"""
    message: str = ""
    disruption: str = ""
    """The reason of the pod's DisruptionTarget condition; never empty while that is True."""
    fence: Fence | None = None
    deleted: bool = False
    """The pod was being deleted, and not by us."""
    started: bool = True
    """The trainer's process ever ran, or may have."""
    blocked_by: str = ""
    """The other container that failed before the trainer began."""
    blocked_outside: bool = False
    """That container is not of the job's template, or nothing says that it failed by itself."""
    node_away: bool = False
    """Its node was silent or not ready shortly before: a reboot may have ended it."""
    sick_device: str = ""
    """A device of the trainer that was not healthy by then, with its resource."""
    finished_at: datetime | None = None
    """When the trainer ended, by its node's clock; None: nobody knows. After a power cut a runtime
    writes the time of recovery, so no duration is computed from this."""
    last_lines: str = ""
    """What it wrote last, in its termination message or its log."""


@dataclass(frozen=True, slots=True)
class Standstill:
    """Something that does not come, since when, and what came last."""

    since: datetime
    step: int
    busy: str = ""
    """What the trainer says that it does meanwhile (`run.busy`); empty: it says nothing."""


@dataclass(frozen=True, slots=True)
class RankRecord:
    """One rank of the current attempt, from when its pod was first seen."""

    rank: int
    uid: str
    grace: int = 30
    """The pod's grace period in seconds, at most `MAX_GRACE_SECONDS`."""
    node: NodeIdentity | None = None
    started: datetime | None = None
    """When the trainer was first seen running."""
    notice: Notice | None = None
    word: Word | None = None
    memory: MemoryKills | None = None
    """What the sidecar saw the kernel kill before the trainer's end."""
    trouble: Trouble | None = None
    lost_at: datetime | None = None
    """When its trainer was first found to be over, or its pod to be fenced or missing."""
    trainer_end: RankEnd | None = None
    """How its trainer ended, while its pod has not; None again once `ended` says it."""
    ended: RankEnd | None = None
    """How it ended: no container of its pod runs any more, or they are fenced."""
    silent_since: datetime | None = None
    """When its last report came, once none has come for long."""
    still: Standstill | None = None
    """Its last step, once none has followed for long."""
    unsaved: Standstill | None = None
    """The step of its last checkpoint, once one is long overdue."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The attempt is being ended; `cause` None when a rank was lost and not stopped by us."""

    since: datetime
    cause: Ending | Reason | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """The history of one attempt."""

    number: int
    created_at: datetime
    running_at: datetime | None = None
    ended_at: datetime | None = None
    ending: str | None = None
    """An `Ending`, or a `Reason` when we ended it for the job's sake (NoProgress)."""
    message: str = ""
    charged: Charge | None = None
    node: str | None = None
    resumed: Literal["fresh", "checkpoint", "completed", "stop"] | None = None
    """The choice that the attempt reported."""
    resumed_from: CommitRef | None = None
    step: int | None = None
    """The last step known of this attempt."""
    loss: Loss | None = None
    """Whether its last state was committed before it lost its place; None: it did not lose it."""
    replayed_steps: int = 0
    retry_seconds: float | None = None
    """From the last step known before this attempt to its first own step."""
    inherited: bool = False
    """Whether `resumed_from` is a checkpoint of the lineage that `resumeFrom` names."""
    last_lines: str = ""
    """Of a failed attempt: what its trainer wrote last."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """What was charged."""

    interruptions: int = 0
    interruption_times: tuple[datetime, ...] = ()
    """Of the charged ones, oldest first, as many as any window may need."""
    failures: int = 0
    """Since the last refund."""
    without_progress: int = 0
    """Charged endings since durable progress: what the breaker and the back-off count."""
    progress_limit: int | None = None
    """The limit of attempts without progress that the last charged ending went beyond."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The newest checkpoint known to be committed."""

    ref: CommitRef
    committed_at: datetime
    """Or when we heard of it, when no report told us."""
    bytes: int = 0
    write_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class IntervalInputs:
    """What the interval depends on; None: not measured yet. See `api.status`."""

    stall_seconds: float | None = None
    commit_latency_seconds: float | None = None
    commit_overhead_seconds: float | None = None
    state_bytes: int | None = None
    upload_bytes_per_second: float | None = None
    slowdown: float | None = None
    step_seconds: float | None = None
    saves: int | None = None
    interruptions_per_hour: float = 0.0
    saved_share: float = 0.0


@dataclass(frozen=True, slots=True)
class IntervalBounds:
    """Seconds between which the interval is kept."""

    optimum: float | None = None
    shortest: float | None = None
    longest: float | None = None
    max_lost_work: float | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """The time between two checkpoints that is in force, as the sidecar of rank 0 decided."""

    seconds: float
    why: str
    inputs: IntervalInputs = IntervalInputs()
    bounds: IntervalBounds = IntervalBounds()


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """What is known of the lineage."""

    newest: Committed | None = None
    commits: int = 0
    """Of the job's whole life, as far as reported."""
    attempt_commits: int = 0
    """Of the current attempt, already counted in `commits`."""
    best_step: int = -1
    """The highest step ever committed since training last began from zero; -1: none."""
    suspects: tuple[str, ...] = ()
    interval: Interval | None = None
    afresh: bool = False
    """No checkpoint was valid, so the job begins from zero: its script gets no resumeArgs."""


@dataclass(frozen=True, slots=True)
class Purge:
    """The deletion of the lineage of a job that is being deleted."""

    number: int
    """Of the try."""
    since: datetime
    """When it begins, or began."""
    outcome: Literal["Deleted", "Left"] | None = None
    """How the last try ended; the job may go."""
    message: str = ""
    """What was deleted, or what went wrong."""


@dataclass(frozen=True, slots=True)
class ExcludedNode:
    """A node that new pods of the job avoid."""

    node: NodeIdentity
    reason: str
    since: datetime


REPORTED: Final = (
    Bucket.START_UP,
    Bucket.RESTORE,
    Bucket.DRAIN,
    Bucket.CHECKPOINT_STALL,
    Bucket.REPLAYED,
    Bucket.PRODUCTIVE,
)
"""What a sidecar reports. When more is reported than has passed, the first are cut first: that time
was accounted for as start-up before the sidecar was heard of."""

Spent = tuple[tuple[Bucket, timedelta], ...]
"""Time by use; a bucket that is not there holds none."""


@dataclass(frozen=True, slots=True)
class TimeLedger:
    """Where the wall time went: the buckets add up to `since` minus the job's first moment."""

    since: datetime | None = None
    """Until when time is accounted for; None before the first write."""
    buckets: Spent = ()
    reported: Spent = ()
    """The current attempt's own cumulative figures that are already accounted for."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The high-water mark of training."""

    step: int = 0
    samples: int = 0
    epoch: int = 0
    at: datetime | None = None
    """When the last step known, of whatever attempt, was made."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all attempts."""

    interruptions: int = 0
    resumes: int = 0
    resumes_failed: int = 0
    replayed_steps: int = 0
    retry_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ConditionRecord:
    """A condition of the job."""

    type: Condition
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    since: datetime
    """`lastTransitionTime`: when the status last changed."""
    observed_generation: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """The status of a job. `Ledger()` is that of a job nobody has looked at."""

    job_uid: str = ""
    """Of the job whose status it is; empty in one that was written before this was."""
    observed_generation: int = 0
    attempt: int = 0
    first_started: int | None = None
    """The first attempt of which a trainer started: the template has proved that it works."""
    state: State = State.WAITING
    not_before: datetime | None = None
    stopping: Stopping | None = None
    ranks: tuple[RankRecord, ...] = ()
    attempts: tuple[AttemptRecord, ...] = ()
    """The newest, oldest first; the last is the current one once there is an attempt."""
    budgets: Budgets = Budgets()
    checkpoint: Checkpoints = Checkpoints()
    purge: Purge | None = None
    excluded: tuple[ExcludedNode, ...] = ()
    time: TimeLedger = field(default_factory=TimeLedger)
    policy: str | None = None
    """The name of the policy that rules, or last ruled without a policy block."""
    policy_claim: Claim | None = None
    """By what it rules."""
    progress: Progress = Progress()
    totals: Totals = Totals()
    finished_at: datetime | None = None
    """When the job was over, well or not."""
    conditions: tuple[ConditionRecord, ...] = ()

    @property
    def current(self) -> AttemptRecord | None:
        """The record of the attempt `attempt`; None before the first."""
        return self.attempts[-1] if self.attempts else None

    @property
    def has_started(self) -> bool:
        """Whether a trainer of the job was ever seen started."""
        return self.first_started is not None

    def condition(self, kind: Condition) -> ConditionRecord | None:
        """The condition of that type, if it was ever set."""
        return next((one for one in self.conditions if one.type is kind), None)


def plausible_seconds(seconds: float) -> float:
    """`seconds` within bounds: a pod, or whoever edits a status, may say any number."""
    return min(max(0.0, seconds), 1e9)
