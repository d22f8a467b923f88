"""The status of a SpotTrainingJob, as users and the operator's next pass read it.

It is bounded, so that no job, however unlucky, makes an object the server refuses. The
operator's own form of it is `domain.state.ledger.Ledger`; whoever converts must write no field
that is not here, because the API server drops such a field without a word.
"""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from spot_operator.api.model import Model
from spot_operator.api.names import State
from spot_operator.api.policy import MAX_INTERRUPTIONS
from spot_operator.api.status_interval import IntervalInForce
from spot_operator.api.status_types import Count, Seconds, Word

MAX_ATTEMPTS: Final = 20
"""Attempts in the history: the newest."""
MAX_RANKS: Final = 16
"""Ranks named in it."""
MAX_MESSAGE: Final = 1024
"""Characters of a message; whoever writes one cuts it to as many bytes."""
MAX_SUSPECTS: Final = 2
"""Suspect checkpoints: a third stops the job."""
MAX_EXCLUDED_NODES: Final = 64
"""Nodes to avoid."""
MAX_CONDITIONS: Final = 8
"""Condition types."""
MAX_NAME: Final = 253
"""Characters of a Kubernetes name."""

Message = Annotated[str, StringConstraints(max_length=MAX_MESSAGE)]
Name = Annotated[str, StringConstraints(max_length=MAX_NAME)]
CheckpointId = Annotated[str, StringConstraints(max_length=64)]


class NodeIdentity(Model):
    """A machine in one of its boots."""

    name: Name = Field(description="The node's name.")
    uid: Word = Field(description="The node object's uid.")
    boot_id: Word = Field(alias="bootID", description="The boot id that the node reports.")


class CommitRef(Model):
    """A checkpoint."""

    attempt: Count = Field(description="The attempt that took it.")
    step: Count = Field(description="The step after which it was taken.")
    id: CheckpointId = Field(description="Its id in the store.")


class Stopping(Model):
    """The attempt is ending."""

    since: datetime = Field(description="Since when.")
    cause: Word | None = Field(
        default=None,
        description="Why the operator stops it; absent when a rank of it was lost.",
    )
    message: Message = Field(default="", description="The evidence.")


class Notice(Model):
    """A warning that a pod of the job is about to lose its place."""

    kind: Literal["Preempt", "Rebalance", "Maintenance", "PodDeletion"] = Field(
        description="What is announced."
    )
    deadline: datetime | None = Field(default=None, description="When it will happen, if known.")
    source: Word = Field(description="Who said so.")
    observed_at: datetime = Field(description="When it was first seen.")
    raw: Message = Field(default="", description="The warning as its source gave it.")


class TrainerWord(Model):
    """What the trainer, or the sidecar on its behalf, last said."""

    word: Word = Field(description="Finished, Paused, Refused, or why the sidecar stopped it.")
    reason: Message = Field(default="", description="The reason it gave.")


class MemoryKills(Model):
    """What the kernel killed in the trainer's container for want of memory."""

    oom: Count = Field(description="How often an allocation failed at its own limit.")
    oom_kill: Count = Field(description="How many of its processes were killed.")
    limit_bytes: Count | None = Field(default=None, description="Its limit, if known.")
    seconds_before_end: Seconds | None = Field(
        default=None, description="From the last kill to the trainer's end."
    )


class Trouble(Model):
    """What keeps the pod from starting."""

    family: Word = Field(description="What is at fault.")
    reason: Word = Field(description="The reason the kubelet gives.")
    message: Message = Field(default="", description="The message the kubelet gives.")
    since: datetime = Field(description="Since when it is seen.")
    patience: Count = Field(description="Seconds after which the attempt is given up.")


class RankEnd(Model):
    """How a rank ended."""

    at: datetime = Field(description="When the operator saw it.")
    finished_at: datetime | None = Field(
        default=None, description="When the trainer ended, by its node's clock, as far as known."
    )
    exit_code: int | None = Field(default=None, description="The trainer's exit code.")
    reason: Word = Field(default="", description="The trainer container's reason.")
    pod_reason: Word = Field(default="", description="The pod's reason.")
    message: Message = Field(default="", description="The message beside the reason.")
    disruption: Word = Field(
        default="", description="The reason of the pod's condition DisruptionTarget."
    )
    fence: Word | None = Field(
        default=None, description="Why nothing on its node can train any more."
    )
    deleted: bool = Field(
        default=False, description="The pod was deleted by somebody other than the operator."
    )
    started: bool = Field(default=True, description="The trainer's process ever ran.")
    blocked_by: Word = Field(
        default="", description="The container that failed before the trainer began."
    )
    blocked_outside: bool = Field(
        default=False,
        description="That container is not of spec.template, or was killed from outside.",
    )
    node_away: bool = Field(
        default=False, description="Its node was silent or not ready shortly before."
    )
    sick_device: Word = Field(
        default="", description="A device of the trainer that the kubelet says is not healthy."
    )
    last_lines: Message = Field(default="", description="What it wrote last.")


class Standstill(Model):
    """Something that does not come."""

    since: datetime = Field(description="Since when.")
    step: Count = Field(description="The step of what came last.")
    busy: Word = Field(default="", description="What the trainer says that it does meanwhile.")


class Rank(Model):
    """One pod of the current attempt."""

    rank: Count = Field(description="Its index in the gang.")
    uid: Word = Field(description="The pod's uid.")
    grace: Count = Field(default=30, description="The pod's grace period in seconds.")
    node: NodeIdentity | None = Field(
        default=None, description="The machine it was first seen bound to."
    )
    started: datetime | None = Field(
        default=None, description="When the trainer was first seen running."
    )
    notice: Notice | None = Field(default=None, description="The warning with the first deadline.")
    word: TrainerWord | None = Field(default=None, description="What the trainer last said.")
    memory: MemoryKills | None = Field(
        default=None,
        description="What the kernel killed for want of memory before the trainer's end.",
    )
    trouble: Trouble | None = Field(default=None, description="What keeps the pod from starting.")
    lost_at: datetime | None = Field(
        default=None,
        description="When its trainer was first found over, or the pod fenced or missing.",
    )
    trainer_end: RankEnd | None = Field(
        default=None, description="How its trainer ended, while its pod has not."
    )
    ended: RankEnd | None = Field(default=None, description="How it ended.")
    silent_since: datetime | None = Field(
        default=None, description="When its last report came, once none has come for long."
    )
    still: Standstill | None = Field(
        default=None, description="Its last step, once none has followed for long."
    )
    unsaved: Standstill | None = Field(
        default=None, description="The step of its last checkpoint, once one is long overdue."
    )


class Attempt(Model):
    """The history of one attempt."""

    number: Count = Field(description="The attempt's number: never used again.")
    created_at: datetime = Field(description="When its number was taken.")
    running_at: datetime | None = Field(default=None, description="When its trainer ran.")
    ended_at: datetime | None = Field(default=None, description="When every rank had ended.")
    ending: Word | None = Field(default=None, description="Why it stopped.")
    message: Message = Field(default="", description="The evidence for the ending.")
    charged: Literal["Interruption", "Failure"] | None = Field(
        default=None, description="The budget that paid for it; absent when none did."
    )
    node: Name | None = Field(default=None, description="The node of its first rank.")
    resumed: Literal["fresh", "checkpoint", "completed", "stop"] | None = Field(
        default=None, description="What it decided to start from."
    )
    resumed_from: CommitRef | None = Field(
        default=None, description="The checkpoint it resumed from."
    )
    inherited: bool = Field(
        default=False,
        description="Whether that was a checkpoint of the lineage that resumeFrom names.",
    )
    last_lines: Message = Field(
        default="",
        description=(
            "Of a failed attempt: what the trainer wrote last, from its termination message or, "
            "where that is empty, from the end of its log."
        ),
    )
    step: Count | None = Field(default=None, description="The last step known of it.")
    loss: Literal["Saved", "Lost"] | None = Field(
        default=None,
        description=(
            "Whether its last state was committed before it lost its place; absent when it did not "
            "lose it, or to a person."
        ),
    )
    replayed_steps: Count = Field(
        default=0, description="Steps it did again that an earlier attempt had done."
    )
    retry_seconds: Seconds | None = Field(
        default=None,
        description="From the last step known before it to its own first step.",
    )


class InterruptionsUsed(Model):
    """What was charged as interruptions."""

    used: Count = Field(default=0, description="Interruptions charged.")
    times: Annotated[tuple[datetime, ...], Field(max_length=MAX_INTERRUPTIONS + 1)] = Field(
        default=(), description="When, as far back as the policy's window needs."
    )


class FailuresUsed(Model):
    """What was charged as failures."""

    used: Count = Field(default=0, description="Failures charged since the last refund.")


class Budgets(Model):
    """What was charged to the budgets of the policy."""

    interruptions: InterruptionsUsed = Field(description="What was charged as interruptions.")
    failures: FailuresUsed = Field(description="What was charged as failures.")
    without_progress: Count = Field(
        default=0, description="Charged endings since the last durable progress."
    )
    progress_limit: Count | None = Field(
        default=None,
        description=(
            "The policy's maxAttemptsWithoutProgress, once the last charged ending went beyond it."
        ),
    )


class Committed(CommitRef):
    """A checkpoint that is committed."""

    committed_at: datetime = Field(description="When it was committed.")
    bytes: Count = Field(default=0, description="Its size.")
    write_seconds: Seconds = Field(
        default=0.0, description="From its snapshot until it was committed."
    )


class Checkpoints(Model):
    """What is known of the job's checkpoints."""

    newest: Committed | None = Field(default=None, description="The newest committed one.")
    commits: Count = Field(default=0, description="Checkpoints committed in the job's life.")
    attempt_commits: Count = Field(
        default=0, description="Those of the current attempt, counted in `commits` already."
    )
    best_step: int = Field(
        default=-1,
        ge=-1,
        description="The highest step committed since training last began from zero; -1: none.",
    )
    suspects: Annotated[tuple[CheckpointId, ...], Field(max_length=MAX_SUSPECTS)] = Field(
        default=(), description="Checkpoints from which training failed twice; not used again."
    )
    afresh: bool = Field(
        default=False,
        description="None was valid to resume from, and the job begins from zero.",
    )
    interval: IntervalInForce | None = Field(
        default=None, description="The time between two checkpoints, and what it follows from."
    )


class ExcludedNode(NodeIdentity):
    """A node that new pods of the job avoid."""

    reason: Word = Field(description="Why.")
    since: datetime = Field(description="Since when.")


class Buckets(Model):
    """Seconds of wall time by use; each second is in exactly one."""

    productive: Seconds = Field(default=0.0, description="Steps that were new.")
    replayed: Seconds = Field(default=0.0, description="Steps done again.")
    checkpoint_stall: Seconds = Field(default=0.0, description="Waiting for snapshots.")
    restore: Seconds = Field(default=0.0, description="Choosing and loading checkpoints.")
    start_up: Seconds = Field(default=0.0, description="From bound until asking for its state.")
    waiting_for_capacity: Seconds = Field(default=0.0, description="Waiting for a node.")
    backoff: Seconds = Field(default=0.0, description="Waiting before an attempt.")
    suspended: Seconds = Field(default=0.0, description="Suspended by the user.")
    drain: Seconds = Field(
        default=0.0, description="From a notice, stop or lost node's last sign to the end."
    )
    other: Seconds = Field(default=0.0, description="Everything else.")


class Time(Model):
    """Where the wall time went."""

    since: datetime | None = Field(default=None, description="Until when it is accounted for.")
    buckets: Buckets = Field(description="Seconds by use; they add up to the job's age.")
    reported: Buckets | None = Field(
        default=None,
        description="The current attempt's own figures that are already accounted for.",
    )


class PolicyInUse(Model):
    """The policy the job follows."""

    name: Name = Field(description="The SpotPolicy's name; `built-in` when no policy applies.")
    claim: Literal["Name", "PriorityClass", "Default", "None"] | None = Field(
        default=None,
        description=(
            "Why it applies: the job names it, it lists the pods' priority class, or it is the "
            "default."
        ),
    )


class Progress(Model):
    """The furthest point of training."""

    step: Count = Field(default=0, description="The highest step reached.")
    samples: Count = Field(default=0, description="Samples consumed there.")
    epoch: Count = Field(default=0, description="The epoch there.")
    at: datetime | None = Field(default=None, description="When the last known step was made.")


class Totals(Model):
    """Sums over all attempts."""

    interruptions: Count = Field(default=0, description="Interruptions charged.")
    resumes: Count = Field(default=0, description="Attempts that resumed from a checkpoint.")
    resumes_failed: Count = Field(default=0, description="Attempts that could not resume.")
    replayed_steps: Count = Field(default=0, description="Steps done again.")
    retry_seconds: Seconds = Field(
        default=0.0, description="From a last step to the next attempt's first, summed."
    )


class ConditionStatus(Model):
    """A condition, as everywhere in Kubernetes."""

    type: Word = Field(description="What is said.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: Word = Field(description="Why, as one CamelCase word.")
    message: Message = Field(default="", description="Why, and what to do about it.")
    last_transition_time: datetime = Field(description="When `status` last changed.")
    observed_generation: Count | None = Field(
        default=None, description="The generation of the spec that it was computed for."
    )


class Purge(Model):
    """The deletion of the checkpoints of a job that is being deleted."""

    number: Count = Field(description="The number of the try.")
    since: datetime = Field(description="When it begins, or began.")
    outcome: Literal["Deleted", "Left"] | None = Field(
        default=None,
        description="How it ended; the job goes then. Left: they could not be deleted.",
    )
    message: Message = Field(default="", description="What was deleted, or what went wrong.")


class JobStatus(Model):
    """What became of the job so far."""

    job_uid: Word | None = Field(
        default=None,
        alias="jobUID",
        description="The job that this is the status of: one restored for another is not believed.",
    )
    observed_generation: Count | None = Field(
        default=None, description="The generation of the spec that was last looked at."
    )
    attempt: Count | None = Field(default=None, description="The number of the current attempt.")
    first_started: Count | None = Field(
        default=None,
        description=(
            "The first attempt whose trainer started. From then on trouble with images, volumes "
            "and nodes is the platform's and is not charged."
        ),
    )
    state: State | None = Field(default=None, description="Where the current attempt stands.")
    not_before: datetime | None = Field(
        default=None, description="The next attempt starts no earlier."
    )
    stopping: Stopping | None = Field(default=None, description="The attempt is ending.")
    ranks: Annotated[tuple[Rank, ...], Field(max_length=MAX_RANKS)] | None = Field(
        default=None, description="The pods of the current attempt."
    )
    attempts: Annotated[tuple[Attempt, ...], Field(max_length=MAX_ATTEMPTS)] | None = Field(
        default=None, description="The newest attempts, oldest first."
    )
    budgets: Budgets | None = Field(default=None, description="What was charged so far.")
    checkpoint: Checkpoints | None = Field(
        default=None, description="What is known of the job's checkpoints."
    )
    purge: Purge | None = Field(
        default=None, description="The deletion of the checkpoints, once the job is deleted."
    )
    excluded_nodes: (
        Annotated[tuple[ExcludedNode, ...], Field(max_length=MAX_EXCLUDED_NODES)] | None
    ) = Field(default=None, description="Nodes that new pods of the job avoid.")
    time: Time | None = Field(default=None, description="Where the wall time went.")
    policy: PolicyInUse | None = Field(default=None, description="The policy the job follows.")
    progress: Progress | None = Field(default=None, description="The furthest point of training.")
    totals: Totals | None = Field(default=None, description="Sums over all attempts.")
    completion_time: datetime | None = Field(
        default=None, description="When the job was over: completed, or failed for good."
    )
    conditions: Annotated[tuple[ConditionStatus, ...], Field(max_length=MAX_CONDITIONS)] | None = (
        Field(
            default=None,
            description="The summary: Succeeded first, then what stands in its way.",
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
        )
    )
