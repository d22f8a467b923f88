"""The spec of a SpotTrainingJob, as the operator reads it.

The descriptions are the user's manual: `kubectl explain` shows them. Each field is either immutable
or says when a change takes effect. Rules between fields are in `job_rules.py`,
`script_rules.py`, `resume_rules.py` and `template_rules.py`.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from spot_operator.api.durations import MAX_LENGTH, Duration, format_duration, read_duration
from spot_operator.api.keep import Keep
from spot_operator.api.model import Model
from spot_operator.api.quantities import Bytes
from spot_operator.api.store import Store

ADAPTIVE: Final = "Adaptive"
"""The interval that is found by measuring."""
MIN_LOST_WORK: Final = timedelta(seconds=10)
MIN_INTERVAL: Final = timedelta(seconds=5)
MAX_INTERVAL: Final = timedelta(hours=24)
MIN_STALL_TIMEOUT: Final = timedelta(seconds=30)
MIN_SETTLE: Final = timedelta(seconds=1)
MAX_SETTLE: Final = timedelta(hours=1)
MIN_STAGING_BYTES: Final = 1024**2
MAX_PROCESSES: Final = 100_000
"""Files that are looked for in each checkpoint."""
MAX_TTL_SECONDS: Final = 31_536_000
"""A year: the sum of a time and this must never overflow."""

PodTemplate = Annotated[dict[str, Any], WithJsonSchema({"x-kind": "PodTemplateSpec"})]
"""A PodTemplateSpec as plain JSON; the CRD carries its full schema."""
Staging = Annotated[Bytes, WithJsonSchema({"x-kind": "Quantity"})]
"""Bytes here, a quantity in JSON."""


def _read_interval(value: object) -> object:
    return value if value == ADAPTIVE else read_duration(value)


def _write_interval(value: timedelta | str) -> str:
    return format_duration(value) if isinstance(value, timedelta) else value


Interval = Annotated[
    timedelta | Literal["Adaptive"],
    BeforeValidator(_read_interval),
    PlainSerializer(_write_interval),
    WithJsonSchema({"type": "string", "maxLength": MAX_LENGTH}),
]
"""A duration, or the word that leaves it to be found."""


class NoneValid(StrEnum):
    """What to do when checkpoints were committed and none verifies."""

    FAIL = "Fail"
    START_FRESH = "StartFresh"


class DeletionPolicy(StrEnum):
    """What becomes of the checkpoints when the job is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class DirectoryFormat(StrEnum):
    """How a script that knows nothing of us lays its checkpoints out."""

    HUGGING_FACE = "HuggingFace"
    LIGHTNING = "Lightning"
    DCP = "DCP"
    PLAIN = "Plain"


class Completion(StrEnum):
    """What counts as success."""

    MARKER = "Marker"
    EXIT_CODE = "ExitCode"


class PodCleanup(StrEnum):
    """Which pods stay when the job is over."""

    DELETE_ALL = "DeleteAll"
    KEEP_FAILED = "KeepFailed"


class StagingArea(Model):
    """The memory through which state leaves the trainer."""

    size_limit: Staging = Field(
        default=1024**3,
        json_schema_extra={"default": "1Gi"},
        description=(
            "Memory for snapshots on their way to the store, at least the size of one "
            "snapshot of the whole state; with room for two, the next can be taken while one "
            "is uploaded. The pod needs this much memory (and 192Mi) beyond "
            "the trainer's own."
        ),
    )


class DirectorySource(Model):
    """Checkpoints that a script writes by itself."""

    path: str = Field(
        max_length=256,
        description=(
            'Where the trainer writes its checkpoints, as "/out": an empty volume is mounted '
            "there, into which the newest valid checkpoint is put before the trainer starts."
        ),
    )
    format: DirectoryFormat = Field(
        description=(
            "When a checkpoint is complete: HuggingFace, a folder checkpoint-<step> with all that "
            "the Trainer resumes from; Lightning, a .ckpt file; DCP, a folder of "
            "torch.distributed.checkpoint; Plain, a file or folder with the step in its name that "
            "has not changed for the settle time."
        ),
    )
    resume_args: tuple[Annotated[str, Field(max_length=1024)], ...] = Field(
        default=(),
        max_length=16,
        description=(
            "Arguments that the trainer gets once a checkpoint exists, as "
            '["--resume_from_checkpoint", "{path}"]; {path} becomes the path of the '
            "checkpoint. Leave it out for a script that looks for its newest checkpoint itself."
        ),
    )
    settle: Duration = Field(
        default=timedelta(seconds=5),
        description=(
            'Time without a change, from "1s" to "1h", after which a complete checkpoint is taken.'
        ),
    )
    marker: str = Field(
        default="",
        max_length=128,
        description=(
            "For format Plain: the name of a file that the script writes last into each "
            "checkpoint's folder. Without it a checkpoint counts once it has settled."
        ),
    )
    processes: int = Field(
        default=1,
        ge=1,
        le=MAX_PROCESSES,
        description=(
            "For format HuggingFace: how many processes train, each of which saves its own random "
            "state."
        ),
    )


class Source(Model):
    """What makes the checkpoints."""

    directory: DirectorySource | None = Field(
        default=None,
        description=(
            "For a script that cannot be changed: it writes its own checkpoints to a directory. "
            "Without it the trainer uses the SDK. Needs `completion: ExitCode`."
        ),
    )


class ResumeFrom(Model):
    """The lineage of another job."""

    namespace: str | None = Field(
        default=None,
        max_length=63,
        description="Namespace of that job; without it this job's own.",
    )
    name: str = Field(max_length=63, description="Name of that job.")
    uid: str = Field(
        max_length=63,
        description=(
            "Uid of that job: the last part of its lineage's path. The event UnfinishedLineage "
            "names it, and `kubectl get stj -o yaml` while the job exists."
        ),
    )
    checkpoint: str | None = Field(
        default=None,
        max_length=32,
        description=(
            "Id of the one checkpoint to resume from, as `spot-training checkpoints ls -o wide` "
            "shows it; without it the newest that verifies."
        ),
    )


class CheckpointSpec(Model):
    """How the job's state is kept."""

    store: Store = Field(description="Where checkpoints live. Immutable.")
    interval: Interval = Field(
        default=ADAPTIVE,
        description=(
            "Adaptive finds the time between two checkpoints from what a save costs and how often "
            "the job is interrupted without time for a last save, both as measured; "
            'status.checkpoint.interval shows it with its inputs. Or a fixed time, from "5s" to '
            '"24h". A change takes effect with the next attempt.'
        ),
    )
    max_lost_work: Duration | None = Field(
        default=None,
        description=(
            'The most work that a loss without warning may cost, from "10s" to "24h": the '
            "interval, the copy of the state and the time until it is durable stay within it "
            "together. Condition LossBoundFeasible says whether they can. A fixed interval must "
            "be shorter. A change takes effect with the next attempt."
        ),
    )
    keep: Keep = Field(
        default_factory=Keep,
        json_schema_extra={"default": {}},
        description=(
            "Which old checkpoints stay. Whatever it says, nothing deletes the newest one, what "
            "the job completed with, what the running attempt resumed from, suspects, and "
            "those that a person pinned with `spot-training checkpoints pin`."
        ),
    )
    on_none_valid: NoneValid = Field(
        default=NoneValid.FAIL,
        description=(
            "What to do when checkpoints were committed and none of them verifies: Fail stops "
            "the job with reason NoValidCheckpoint, StartFresh trains from the beginning. "
            "A change takes effect with the next attempt."
        ),
    )
    resume_from: ResumeFrom | None = Field(
        default=None,
        description=(
            "The lineage of another job, in the same store, from which this job goes on as long as "
            "it has committed nothing itself. It is only read. If none of its checkpoints is "
            "valid the job stops with NoValidCheckpoint, or does as onNoneValid says. Immutable."
        ),
    )
    deletion_policy: DeletionPolicy = Field(
        default=DeletionPolicy.RETAIN,
        description=(
            "What becomes of the checkpoints when the job is deleted: Retain leaves them where "
            "they are; Delete deletes all but pinned ones, by a pod of the job's identity, once "
            "its last pod has ended, and holds the job until then. A change takes effect at once, "
            "also while the job is being deleted."
        ),
    )
    source: Source = Field(
        default_factory=Source,
        json_schema_extra={"default": {}},
        description="What makes the checkpoints: the SDK, or the script by itself. Immutable.",
    )
    staging: StagingArea = Field(
        default_factory=StagingArea,
        description="The memory through which state leaves the trainer. Immutable.",
    )


class JobSpec(Model):
    """What the user wants of a SpotTrainingJob."""

    suspend: bool = Field(
        default=False,
        description=(
            "True lets the running attempt save its state, ends it and starts no other until "
            "it is false again; nothing is charged for that. A change takes effect at once."
        ),
    )
    template: PodTemplate = Field(
        description=(
            "The pod that trains. The trainer is its container named `trainer`, or the only one. "
            "The operator adds the sidecar, volumes, tolerations and node affinity for "
            "spot nodes. Immutable."
        ),
    )
    checkpoint: CheckpointSpec = Field(description="How the job's state is kept.")
    policy_name: str | None = Field(
        default=None,
        max_length=253,
        description=(
            "The SpotPolicy to follow; it must list the pods' priority class or admit the job's "
            "namespace. Without it: the policy that lists the priority class, else the default "
            "one. A change takes effect with the next decision; what was charged stays charged."
        ),
    )
    completion: Completion = Field(
        default=Completion.MARKER,
        description=(
            "What counts as success: Marker, that the trainer called `complete()`, which leaves "
            "a marker in the store; ExitCode, that it exited with 0 in an attempt that "
            "saw no notice, SIGTERM or deletion. Immutable."
        ),
    )
    stall_timeout: Duration | None = Field(
        default=None,
        description=(
            'Time without a step, at least "30s", after which the attempt is ended as '
            "Stalled; measured from the last step that the attempt made itself, so not before the "
            "first one after a start or resume, and not while it says that it is busy. Without it "
            "a trainer may hang for ever. A change takes effect at once."
        ),
    )
    ttl_seconds_after_finished: int | None = Field(
        default=None,
        ge=0,
        le=MAX_TTL_SECONDS,
        description=(
            "Seconds after which a finished job is deleted, with its pods; its checkpoints stay "
            "unless checkpoint.deletionPolicy is Delete. "
            "Without it the job stays until somebody deletes it. A change takes effect at once."
        ),
    )
    pod_cleanup: PodCleanup = Field(
        default=PodCleanup.KEEP_FAILED,
        description=(
            "Which ended pods stay, for `kubectl logs`: KeepFailed keeps those of the three newest "
            "attempts that failed until the job has completed, and those of the last attempt of a "
            "failed job, all until the job is deleted; DeleteAll keeps none once the next attempt "
            "begins or the job is over. No running pod ever outlives its job. A change takes "
            "effect at once, but brings no deleted pod back."
        ),
    )
