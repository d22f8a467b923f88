"""The format of a report, version 1: `POST /v1/reports`, one JSON object.

A sidecar may be newer than the operator: fields unknown here are dropped. Texts that are too long
are cut, and figures that are too large are lowered, not refused: a report is worth more than its
longest message. Whoever may create pods may send reports, so nothing in one may be so large that
a decision cannot reckon with it or that a status cannot hold it.
"""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from spot_operator.domain.formats.timestamps import clipped

__all__ = ["MAX_REPORT_BYTES", "VERSION", "Report", "ReportedEvent", "ReportedNotice"]

VERSION: Final = 1
MAX_REPORT_BYTES: Final = 256 * 1024
"""Larger bodies are refused unread: the lists below at their bounds stay far under it."""


LONGEST_SECONDS: Final = 1e9
"""32 years."""
FASTEST: Final = 1e15
"""Bytes or events per unit of time."""


def _at_most(length: int) -> AfterValidator:
    return AfterValidator(lambda text: text[:length])


def _no_more_than(most: float) -> AfterValidator:
    return AfterValidator(lambda figure: min(figure, most))


Name = Annotated[str, Field(min_length=1, max_length=253)]
Text = Annotated[str, _at_most(1024)]
Short = Annotated[str, _at_most(128)]
CheckpointId = Annotated[str, Field(min_length=1, max_length=64)]
"""A status holds no longer one, and a part of it would name no checkpoint."""
Count = Annotated[int, Field(ge=0, lt=2**63), _no_more_than(2**53)]
Moment = Annotated[AwareDatetime, AfterValidator(clipped)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False), _no_more_than(LONGEST_SECONDS)]
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False), _no_more_than(FASTEST)]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
    )


class Trainer(_Part):
    """How far the trainer is."""

    registered: bool
    step: Count
    samples: Count = 0
    epoch: Count = 0
    last_step_at: Moment | None = None
    stepping_seconds: Seconds | None = None
    """Since the attempt's own first step; older sidecars do not say."""
    busy: Short | None = None


class Source(_Part):
    """The checkpoint an attempt resumed from."""

    attempt: Count
    step: Count
    id: CheckpointId
    lineage: Name | None = None
    """Whose it is, where it is another job's."""


class Resume(_Part):
    """What the attempt starts from."""

    decision: Literal["fresh", "checkpoint", "completed", "stop"]
    source: Source | None = Field(default=None, alias="from")
    seconds: Seconds = 0.0
    at: Moment


class Commit(_Part):
    """The newest checkpoint of this attempt."""

    attempt: Count
    step: Count
    id: CheckpointId
    bytes: Count
    committed_at: Moment
    write_seconds: Seconds
    stall_seconds: Seconds = 0.0
    reason: Short = ""


class IntervalInputs(_Part):
    """What the interval depends on; None: not measured yet."""

    stall_seconds: Seconds | None = None
    commit_latency_seconds: Seconds | None = None
    commit_overhead_seconds: Seconds | None = None
    state_bytes: Count | None = None
    upload_bytes_per_second: Rate | None = None
    slowdown: Annotated[float, Field(ge=0, lt=1)] | None = None
    step_seconds: Seconds | None = None
    saves: Count | None = None
    interruptions_per_hour: Rate = 0.0
    saved_share: Rate = 0.0


class IntervalBounds(_Part):
    """Seconds between which the interval is kept."""

    optimum: Seconds | None = None
    shortest: Seconds | None = None
    longest: Seconds | None = None
    max_lost_work: Seconds | None = None


class ReportedInterval(_Part):
    """The time between two checkpoints."""

    seconds: Seconds
    why: Annotated[str, _at_most(64)]
    inputs: IntervalInputs = IntervalInputs()
    bounds: IntervalBounds = IntervalBounds()


class SecondsOf(_Part):
    """Cumulative seconds of this attempt."""

    start_up: Seconds = 0.0
    restore: Seconds = 0.0
    productive: Seconds = 0.0
    replayed: Seconds = 0.0
    checkpoint_stall: Seconds = 0.0
    drain: Seconds = 0.0


class ReportedNotice(_Part):
    """A warning with a deadline, as the sidecar heard it."""

    kind: Literal["Preempt", "Rebalance", "Maintenance", "PodDeletion"]
    deadline: Moment | None
    source: Short
    observed_at: Moment
    raw: Text = ""
    told_at: Moment | None = None


class ReportedWord(_Part):
    """The trainer's last word, or the sidecar's on its behalf."""

    word: Short
    reason: Text = ""
    at: Moment


class ReportedMemory(_Part):
    """What the kernel killed in the trainer's container for want of memory."""

    oom: Count = 0
    oom_kill: Count = 0
    limit_bytes: Count | None = None
    seconds_before_end: Seconds | None = None


class ReportedProblem(_Part):
    """What keeps the sidecar from its work."""

    kind: Short
    message: Text
    since: Moment


class Quarantined(_Part):
    """A checkpoint that failed to verify."""

    id: Name
    why: Text


class ReportedEvent(_Part):
    """Something worth an Event on the job, told once."""

    type: Literal["Normal", "Warning"]
    reason: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]{0,127}$")]
    message: Text
    at: Moment


class SourceHealth(_Part):
    """Whether a source of notices answers."""

    healthy: bool
    detail: Text = ""


class Report(_Part):
    """All a sidecar knows at one moment, and the events since its last report."""

    version: Literal[1]
    namespace: Name
    job: Name
    job_uid: Name = Field(alias="jobUID")
    attempt: Annotated[int, Field(ge=1, lt=2**31)]
    rank: Annotated[int, Field(ge=0, lt=2**31)]
    pod: Name
    pod_uid: Name = Field(alias="podUID")
    run: Annotated[str, Field(max_length=64)] = ""
    """One life of the sidecar's process, in which `sequence` grows; older ones do not say."""
    sequence: Count
    started_at: Moment
    state: Literal["Waiting", "Restoring", "Training", "Draining", "Ended"]
    trainer: Trainer
    resume: Resume | None = None
    commit: Commit | None = None
    found: Source | None = None
    commits: Count = 0
    settled: bool = False
    """The trainer has ended, and nothing waits to be stored; older sidecars do not say."""
    skipped_snapshots: Count = 0
    interval: ReportedInterval | None = None
    seconds: SecondsOf = SecondsOf()
    replayed_steps: Count = 0
    notice: ReportedNotice | None = None
    word: ReportedWord | None = None
    memory: ReportedMemory | None = None
    """Older sidecars do not say."""
    problem: ReportedProblem | None = None
    quarantined: tuple[Quarantined, ...] = Field(default=(), max_length=16)
    events: tuple[ReportedEvent, ...] = Field(default=(), max_length=32)
    sources: dict[Short, SourceHealth] = Field(default_factory=dict, max_length=16)
