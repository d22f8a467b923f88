"""The vocabulary of a plan: what `act` is asked to do, in order, each idempotent."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from spot_operator.domain.accounts.hazard import NO_HISTORY, Hazard
from spot_operator.domain.state.ledger import CommitRef, Interval, Ledger


@dataclass(frozen=True, slots=True)
class Grant:
    """The operator's word that an attempt may train, as the pod is told it."""

    attempt: int
    newest: CommitRef | None
    suspects: tuple[str, ...] = ()
    start_fresh: bool = False
    """Whether training may begin from zero although checkpoints exist and none is valid."""
    inherits: bool = False
    """Whether, nothing being committed yet, it is to go on from another job's lineage."""

    @property
    def leads_somewhere(self) -> bool:
        """Whether there is a checkpoint to lead a script to, as far as is known."""
        return self.newest is not None or self.inherits


@dataclass(frozen=True, slots=True)
class CreatePod:
    """POST the pod of this rank. 409 is success if owner uid and attempt match, else `foreign`."""

    attempt: int
    rank: int
    grant: Grant
    barred_nodes: tuple[str, ...] = ()
    """Names of the nodes that the pod must not go to, sorted."""
    last_resort_nodes: tuple[str, ...] = ()
    """Names of the nodes that it goes to only where no other takes it, sorted."""
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
class LabelPod:
    """Put our labels back on a pod that somebody took them off, as `AnnotatePod` writes."""

    name: str
    uid: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """DELETE the job as it was observed, and no other, its pods in the background."""

    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Put our finalizer on the job, or take it off; only while the job is as it was observed."""

    wanted: bool


@dataclass(frozen=True, slots=True)
class CreatePurge:
    """POST the pod that deletes the job's lineage; 409 as for `CreatePod`."""

    number: int
    """Of the try."""


Action = CreatePod | DeletePod | AnnotatePod | LabelPod | DeleteJob | Hold | CreatePurge


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
    meanwhile: tuple[Action, ...] = ()
    """Actions on the ledger as persisted, to be done only if the figures have to wait."""
    events: tuple[Note, ...] = ()
    wake_after: timedelta | None = None
    """When to look again if nothing happens before; None: only when something happens."""

    def __post_init__(self) -> None:
        """Raise ValueError when the ledger rule is broken."""
        if self.ledger is not None and self.actions:
            raise ValueError("a pass either persists a ledger or acts on the persisted one")
