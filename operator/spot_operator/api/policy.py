"""The spec of a SpotPolicy: how many interruptions and failures a kind of work may have.

A job follows the policy that lists its pods' priority class, else the default one; see
`JobSpec.policy_name`. The values of every default are those of an ordinary experiment.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, JsonValue, StringConstraints

from spot_operator.api.durations import Duration
from spot_operator.api.model import Model

MIN_BACKOFF: Final = timedelta(seconds=1)
MAX_BACKOFF: Final = timedelta(hours=24)
MIN_WINDOW: Final = timedelta(minutes=1)
MAX_WINDOW: Final = timedelta(hours=720)
MIN_UNREACHABLE: Final = timedelta(seconds=5)
MAX_UNREACHABLE: Final = timedelta(hours=1)
MAX_INTERRUPTIONS: Final = 500
"""Bounds `status.budgets.interruptions.times`, which a window needs."""

SET: Final[dict[str, JsonValue]] = {"x-kubernetes-list-type": "set"}
"""No value twice; two writers may each add one by server-side apply."""

PriorityClassName = Annotated[str, StringConstraints(max_length=253)]
Namespace = Annotated[str, StringConstraints(max_length=63)]


class Jitter(StrEnum):
    """How the wait is drawn."""

    FULL = "Full"
    NONE = "None"


class InterruptionBudget(Model):
    """How many interruptions a job may have."""

    max: int = Field(
        default=50,
        ge=0,
        le=MAX_INTERRUPTIONS,
        description=(
            "Interruptions a job survives: one more ends it with reason InterruptionsExhausted. "
            "A change takes effect with the next ending."
        ),
    )
    window: Duration | None = Field(
        default=None,
        description=(
            'Count only the interruptions of so long ago, from "1m" to "720h". Without it those '
            "of the job's whole life count. A change takes effect with the next ending."
        ),
    )


class FailureBudget(Model):
    """How many failures a job may have."""

    max: int = Field(
        default=3,
        ge=0,
        le=100,
        description=(
            "Failures a job survives: one more ends it with reason FailuresExhausted. "
            "A change takes effect with the next ending."
        ),
    )
    refund_after_progress: bool = Field(
        default=True,
        description=(
            "Forget earlier failures once a checkpoint beyond every earlier step is committed: "
            "the budget then counts failures at one place. A change takes effect "
            "with the next commit."
        ),
    )


class Backoff(Model):
    """How long to wait before the next attempt.

    The wait before the attempt after the k-th charged ending since durable progress is
    min(max, initial * factor ** (k - 1)), from which full jitter draws; the first interruption of a
    row waits 0.
    """

    initial: Duration = Field(
        default=timedelta(seconds=10),
        description=(
            'The wait after the first failure of a row, at least "1s" and not above `max`. '
            "A change takes effect with the next ending."
        ),
    )
    factor: float = Field(
        default=2.0,
        ge=1,
        le=10,
        description=(
            "By how much each further ending without progress multiplies the wait, 1 to 10. "
            "A change takes effect with the next ending."
        ),
    )
    max: Duration = Field(
        default=timedelta(minutes=5),
        description=(
            'The longest wait, from "1s" to "24h" and not below `initial`. '
            "A change takes effect with the next ending."
        ),
    )
    jitter: Jitter = Field(
        default=Jitter.FULL,
        description=(
            "Full draws the wait evenly between 0 and its length, so that jobs interrupted "
            "together do not come back together; None waits the whole length. "
            "A change takes effect with the next ending."
        ),
    )


class Unreachable(Model):
    """When a silent node counts as lost."""

    after: Duration = Field(
        default=timedelta(seconds=40),
        description=(
            'How long a node\'s lease must be stale, from "5s" to "1h", before the node counts '
            "as lost; the reports of its pods must be silent too, and most other nodes be "
            "seen. Not below the lease duration of the nodes' kubelets, 40s by default. "
            "A change takes effect at once."
        ),
    )


class Discipline(Model):
    """What the administrator asks of the checkpoints of a kind of work."""

    max_lost_work: Duration | None = Field(
        default=None,
        description=(
            "The most work that a loss without warning may cost a job of this policy, from "
            '"10s" to "24h"; a job\'s own checkpoint.maxLostWork holds where it is less. '
            "Adaptive intervals keep to it; condition LossBoundFeasible of the job says whether "
            "it can be kept. A change takes effect with the next attempt."
        ),
    )


class PolicySpec(Model):
    """What an administrator grants to a kind of work."""

    priority_class_names: tuple[PriorityClassName, ...] = Field(
        default=(),
        max_length=16,
        json_schema_extra=SET,
        description=(
            "Jobs whose pods have one of these priority classes follow this policy, and may "
            "name it. A change takes effect with the next decision on each job; one that only "
            "the default policy, or none, claims then is held for ten minutes first."
        ),
    )
    default: bool = Field(
        default=False,
        description=(
            "Jobs that no other policy claims follow this one. At most one policy may be the "
            "default. A change takes effect with the next decision on each job; one that no "
            "policy claims then is held for ten minutes first."
        ),
    )
    allowed_namespaces: tuple[Namespace, ...] = Field(
        default=(),
        max_length=64,
        json_schema_extra=SET,
        description=(
            'Namespaces whose jobs may name this policy whatever their priority class; "*" '
            "stands for all. A change takes effect with the next decision on each job."
        ),
    )
    interruptions: InterruptionBudget = Field(
        default_factory=InterruptionBudget,
        description="How many endings that the trainer is not to blame for a job survives.",
    )
    failures: FailureBudget = Field(
        default_factory=FailureBudget,
        description="How many endings that the trainer is to blame for a job survives.",
    )
    max_attempts_without_progress: int = Field(
        default=6,
        ge=1,
        le=100,
        description=(
            "Attempts in a row that may end without a new checkpoint: one more ends the job with "
            "reason NoProgress, once the next attempt has told what it resumes from. A change "
            "takes effect with the next ending."
        ),
    )
    backoff: Backoff = Field(
        default_factory=Backoff,
        description="How long to wait before the next attempt.",
    )
    checkpoint: Discipline = Field(
        default_factory=Discipline,
        description="What is asked of the jobs' checkpoints.",
    )
    unreachable: Unreachable = Field(
        default_factory=Unreachable,
        description="When a silent node counts as lost.",
    )
