"""The vocabulary of a plan: what `act` is asked to do, in order, each idempotent."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from spot_operator.domain.hazard import NO_HISTORY, Hazard
from spot_operator.domain.ledger import CommitRef, Interval, Ledger


@dataclass(frozen=True, slots=True)
class Grant:
    """The operator's word that an attempt may train, as the pod is told it."""

    attempt: int
    newest: CommitRef | None
    suspects: tuple[str, ...] = ()
    start_fresh: bool = False
    """Whether training may begin from zero although checkpoints exist and none is valid."""


@dataclass(frozen=True, slots=True)
class CreatePod:
    """POST the pod of this rank. 409 is success if owner uid and attempt match, else `foreign`."""

    attempt: int
    rank: int
    grant: Grant
    excluded_nodes: tuple[str, ...] = ()
    """Names, sorted."""
    high_water: int = 0
    """The highest step known before this attempt: what lies below it is replayed."""
    hazard: Hazard = NO_HISTORY
    """What is known of interruptions."""
    interval: Interval | None = None
    """What the attempts before measured and decided."""
    max_lost_work: timedelta | None = None
    """The most work a loss without warning may cost, by the job and its policy."""


@dataclass(frozen=True, slots=True)
class DeletePod:
    """DELETE this pod with the uid as precondition; 404 and a failed precondition are success."""

    name: str
    uid: str
    grace_seconds: int | None
    """None: the pod's own; 0: force, only ever for a pod whose node is fenced."""
    why: str


@dataclass(frozen=True, slots=True)
class AnnotatePod:
    """Merge-patch these annotations, with the uid in the body so that no other pod is hit."""

    name: str
    uid: str
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """DELETE the job with the uid as precondition, its pods in the background."""

    uid: str


Action = CreatePod | DeletePod | AnnotatePod | DeleteJob


@dataclass(frozen=True, slots=True)
class Note:
    """A Kubernetes Event on the job, emitted only after the ledger's write succeeded."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Either a new ledger to persist, or actions on the ledger as persisted; never both."""

    ledger: Ledger | None = None
    urgent: bool = False
    """False: the ledger only brings figures up to date, and shares the write-rate budget."""
    actions: tuple[Action, ...] = ()
    events: tuple[Note, ...] = ()
    wake_after: timedelta | None = None
    """When to look again if nothing happens before; None: only when something happens."""

    def __post_init__(self) -> None:
        """Raise ValueError when the ledger rule is broken."""
        if self.ledger is not None and self.actions:
            raise ValueError("a pass either persists a ledger or acts on the persisted one")
