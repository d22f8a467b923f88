"""What this pod knows of its attempt; reports, the termination message and metrics show it.

Parts of the sidecar write their own field and call `changed`; a change that the operator should
hear at once is `urgent`. Everything here lives on the event loop's thread.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from spot_training.checkpoint.manifest import Manifest
from spot_training.times import parse_rfc3339

from spot_sidecar.base.clock import Clock, timestamp
from spot_sidecar.base.entropy import Entropy, SystemEntropy
from spot_sidecar.base.pulse import Pulse
from spot_sidecar.notices.health import Health
from spot_sidecar.notices.notice import Notice
from spot_sidecar.state.oom_kills import Kills
from spot_sidecar.state.time_buckets import TimeBuckets

__all__ = [
    "FINAL_PROBLEMS",
    "UNFINISHED_LINEAGE",
    "AttemptState",
    "CommitSeen",
    "Event",
    "Origin",
    "Problem",
    "Resumed",
    "Trainer",
    "Word",
]

FINAL_PROBLEMS = frozenset(
    {"NoValidCheckpoint", "Superseded", "Resurrected", "StartedAgain", "BadNode"}
)
"""These end the attempt, and stand even if others follow from them."""
UNFINISHED_LINEAGE = "UnfinishedLineage"
"""A former job of this name left checkpoints, and this one begins from zero: a person may want to
know that until it has committed itself. The name is also the event's."""
EVENTS_KEPT = 32
"""Events wait here until a report was acknowledged; the oldest go first."""
QUARANTINES_KEPT = 16
TEXT_LIMIT = 1024
"""Characters of a message: it ends in a status of bounded size."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A checkpoint, by name and order."""

    attempt: int
    step: int
    id: str
    lineage: str | None = None
    """Whose it is, where it is another job's."""

    def to_json(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"attempt": self.attempt, "step": self.step, "id": self.id}
        return shown | ({"lineage": self.lineage} if self.lineage else {})


@dataclass(frozen=True, slots=True)
class Resumed:
    """How this attempt began."""

    decision: str
    origin: Origin | None
    seconds: float
    at: datetime

    def to_json(self) -> dict[str, Any]:
        return {
            "decision": self.decision,
            "from": self.origin.to_json() if self.origin else None,
            "seconds": round(self.seconds, 3),
            "at": timestamp(self.at),
        }


@dataclass(frozen=True, slots=True)
class CommitSeen:
    """The newest checkpoint this attempt committed."""

    origin: Origin
    bytes: int
    committed_at: datetime
    write_seconds: float
    """From the snapshot's hand-over to the manifest."""
    stall_seconds: float
    reason: str

    @staticmethod
    def of(manifest: Manifest, taken_at: datetime) -> "CommitSeen":
        """What this pod tells of the commit of what it handed over at `taken_at`."""
        committed_at = parse_rfc3339(manifest.committed_at)
        return CommitSeen(
            origin=Origin(manifest.attempt, manifest.step, manifest.id),
            bytes=manifest.cost.bytes,
            committed_at=committed_at,
            write_seconds=max(0.0, (committed_at - taken_at).total_seconds()),
            stall_seconds=manifest.cost.stall_seconds,
            reason=manifest.reason,
        )

    def to_json(self) -> dict[str, Any]:
        return self.origin.to_json() | {
            "bytes": self.bytes,
            "committedAt": timestamp(self.committed_at),
            "writeSeconds": round(self.write_seconds, 3),
            "stallSeconds": round(self.stall_seconds, 3),
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Word:
    """What the trainer, or the sidecar in its place, says of the attempt's end."""

    word: str
    reason: str
    at: datetime

    def to_json(self) -> dict[str, Any]:
        return {"word": self.word, "reason": self.reason, "at": timestamp(self.at)}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the attempt is stuck or over, for a person."""

    kind: str
    message: str
    since: datetime

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "message": self.message, "since": timestamp(self.since)}


@dataclass(frozen=True, slots=True)
class Event:
    """Something a person would like to have been told."""

    type: str
    reason: str
    message: str
    at: datetime

    def to_json(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "reason": self.reason,
            "message": self.message,
            "at": timestamp(self.at),
        }


@dataclass(slots=True)
class Trainer:
    """The trainer as its processes show it; the furthest-behind process speaks for the rank."""

    registered: bool = False
    step: int = 0
    samples: int = 0
    epoch: int = 0
    last_step_at: datetime | None = None
    stepping_seconds: float | None = None
    """Since this attempt's own first step was seen; None: none was."""
    stall_seconds: float = 0.0
    busy: str | None = None

    def to_json(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "registered": self.registered,
            "step": self.step,
            "samples": self.samples,
            "epoch": self.epoch,
        }
        if self.last_step_at:
            shown["lastStepAt"] = timestamp(self.last_step_at)
        if self.stepping_seconds is not None:
            shown["steppingSeconds"] = round(self.stepping_seconds, 3)
        if self.busy:
            shown["busy"] = self.busy
        return shown


@dataclass
class AttemptState:
    """The state of one attempt in this pod; see the module."""

    clock: Clock
    attempt: int
    started_at: datetime
    entropy: Entropy = field(default_factory=SystemEntropy)
    state: str = "Waiting"
    trainer: Trainer = field(default_factory=Trainer)
    seconds: TimeBuckets = field(default_factory=TimeBuckets)
    replayed_steps: int = 0
    resumed: Resumed | None = None
    found: Origin | None = None
    """A checkpoint that the operator does not know of and should, be it another job's."""
    commit: CommitSeen | None = None
    commits: int = 0
    settled: bool = False
    """The trainer has ended, and nothing waits to be stored any more."""
    skipped_snapshots: int = 0
    interval: dict[str, Any] = field(default_factory=dict)
    """The interval between checkpoints with its inputs, as `Pacing.to_json` shows it."""
    notice: Notice | None = None
    told_at: datetime | None = None
    """When the notice in force was handed to the trainer's side (notice.json was in place)."""
    word: Word | None = None
    kills: Kills | None = None
    """What the kernel killed in the trainer's container for want of memory."""
    problem: Problem | None = None
    quarantined: dict[str, str] = field(default_factory=dict)
    sources: dict[str, Health] = field(default_factory=dict)
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    changes: Pulse = field(default_factory=Pulse)
    urgencies: Pulse = field(default_factory=Pulse)

    def trained_hours(self) -> float:
        """Hours in which this attempt made steps."""
        return self.seconds.trained / 3600

    def changed(self, *, urgent: bool = True) -> None:
        """Wake everything that shows the state; `urgent`: the operator should hear at once."""
        self.changes.ring()
        if urgent:
            self.urgencies.ring()

    def committed(self, commit: CommitSeen) -> None:
        """Record a checkpoint of this attempt."""
        self.commits += 1
        self.commit = commit
        self.solved(UNFINISHED_LINEAGE)
        self.changed()

    def say(self, word: str, reason: str) -> None:
        """Record the attempt's word; the first one stands, but for Finished, which outranks all."""
        if self.word is None or (word == "Finished" and self.word.word != "Finished"):
            self.word = Word(word, reason[:TEXT_LIMIT], self.clock.now())
            self.changed()

    def meet(self, kind: str, message: str) -> None:
        """Record a problem; `since` stays that of its first sight. A final one stands."""
        message = message[:TEXT_LIMIT]
        if self.problem and self.problem.kind in FINAL_PROBLEMS:
            return
        if self.problem and self.problem.kind == kind:
            if self.problem.message != message:
                self.problem = Problem(kind, message, self.problem.since)
                self.changed(urgent=False)
            return
        self.problem = Problem(kind, message, self.clock.now())
        self.changed()

    def solved(self, *kinds: str) -> None:
        """Forget the problem if it is of one of `kinds`."""
        if self.problem and self.problem.kind in kinds:
            self.problem = None
            self.changed()

    def note(self, reason: str, message: str, *, warning: bool = False) -> None:
        """Add an event for the operator to emit."""
        kind = "Warning" if warning else "Normal"
        self.events.append(Event(kind, reason, message[:TEXT_LIMIT], self.clock.now()))
        self.changed()

    def quarantine(self, checkpoint: str, why: str) -> None:
        """Remember that `checkpoint` was put out of use."""
        self.quarantined[checkpoint] = why[:TEXT_LIMIT]
        while len(self.quarantined) > QUARANTINES_KEPT:
            del self.quarantined[next(iter(self.quarantined))]
        self.note("CheckpointQuarantined", f"{checkpoint}: {why}", warning=True)
