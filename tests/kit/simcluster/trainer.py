"""What runs in a pod: trainer and sidecar as one program, by the contract of the real ones.

It claims, waits for nothing else (its grant stands in an annotation from its creation), resumes
from the newest checkpoint that verifies, makes one step a second, checkpoints, hears notices and
deletions, flushes, reports, and leaves a last word.
"""

import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from kit.clock import FakeClock
from kit.simcluster.store import Checkpoint, Lineage, Model
from spot_operator.api import names
from spot_operator.control.clock import timestamp
from spot_sidecar.config.spot_config import Pacing as PacingSettings
from spot_sidecar.interval.costs import Save
from spot_sidecar.interval.pacing import Pacing

__all__ = ["Exit", "Network", "Orders", "Plan", "TrainerPod", "config_of", "reference"]

Json = dict[str, Any]

STATE = 96 * 2**20
"""Bytes of a snapshot."""
COMMIT_SECONDS = 2.0
"""From a snapshot to its commit."""
IMPORT_SECONDS = 2.0
"""From the start of the trainer to its resume."""
REPORT_SECONDS = 15.0


class Network(Protocol):
    """How a sidecar reaches the operator."""

    async def report(self, token: str, body: bytes) -> int | None:
        """POST a report; the HTTP status, or None when nobody answers."""
        ...


@dataclass(slots=True)
class Plan:
    """What the trainers of a job do: the same for every attempt, save the exceptions."""

    steps: int = 60
    interval: int = 10
    """Steps between two checkpoints."""
    latency: float = COMMIT_SECONDS
    """Seconds from a snapshot to its commit, as the sidecar would measure them."""
    crashes: dict[int, int] = field(default_factory=dict)
    """By attempt: the step before which the trainer exits with code 1."""
    hangs: dict[int, int] = field(default_factory=dict)
    """By attempt: the step before which the trainer stops making steps."""
    exits_early: dict[int, int] = field(default_factory=dict)
    """By attempt: the step before which the trainer exits with code 0, without completing."""
    starved: dict[int, int] = field(default_factory=dict)
    """By attempt: the step before which its container is out of memory, and its runtime comes too
    late to know it: the sidecar alone saw what the kernel counted."""
    poisoned: frozenset[tuple[int, int]] = frozenset()
    """Checkpoints, by attempt and step, that verify and that nobody can train on from."""
    uploading: float = 0.0
    """Seconds that the upload of a snapshot, taken just before a crash, takes after it."""
    lingers: bool = False
    """Whether the process of a trainer that has completed the job does not end."""
    refuses: bool = False
    """Whether the trainer says at once that the job can never succeed."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How the trainer container ended, and the sidecar's termination message."""

    code: int | None
    """None: it was never started."""
    last_word: Json
    last_work: Callable[[], Coroutine[Any, Any, None]] | None = None
    """What the sidecar still has to do."""
    waits: bool = False
    """It begins with that only when it is told of the trainer's end, or to end itself."""


@dataclass(slots=True)
class Orders:
    """What reaches a pod from outside while it runs."""

    notice: Json | None = None
    """The gravest so far, as in the annotation or from the metadata service."""
    deleted: bool = False
    """The preStop hook was called."""


@dataclass(slots=True)
class TrainerPod:
    """One pod's program. `run` returns how it ended; cancelling it is a power cut."""

    pod: Json
    lineage: Lineage
    plan: Plan
    network: Network
    orders: Orders
    clock: FakeClock
    nonce: str
    stepped: Callable[[int, int], None]
    """Told of each step made: (attempt, step)."""
    model: Model = field(default_factory=Model)
    resume: Json | None = None
    commit: Json | None = None
    commits: int = 0
    word: Json | None = None
    memory: Json | None = None
    """What the kernel counted when the container was out of memory."""
    settled: bool = False
    found: Json | None = None
    """A checkpoint that the operator did not know of."""
    quarantined: list[Json] = field(default_factory=list)
    state: str = "Waiting"
    sequence: int = 0
    started: str = ""
    last_report: float = 0.0
    last_step_at: str | None = None
    pacing: Pacing | None = None
    """The sidecar's own code: what a save costs, and the interval that follows."""
    ready: bool = True
    """Whether the trainer's container may start."""
    seconds: dict[str, float] = field(default_factory=dict)
    """What the time of this attempt went into, cumulative."""

    config: Json = field(init=False)
    """What the operator told the sidecar."""

    def __post_init__(self) -> None:
        self.config = config_of(self.pod)

    @property
    def attempt(self) -> int:
        return int(self.config["attempt"])

    @property
    def job_uid(self) -> str:
        return str(self.config["job"]["uid"])

    async def run(self) -> Exit:
        """Train until done, told to stop, or broken."""
        self.started = timestamp(self.clock.now(), micro=True)
        config = self.config
        settings = PacingSettings.model_validate(config["pacing"])
        self.pacing = Pacing(config["interval"], settings, self._trained_hours)
        await self._report()
        if not self.lineage.claim(self.attempt, self.nonce):
            return await self._stop("Resurrected", "the claim is another process's")
        await self._spend("startUp", IMPORT_SECONDS)
        if self.plan.refuses:
            return await self._end(names.EXIT_REFUSED, "Refused", "the data set is empty")
        if self.lineage.complete:
            return await self._end(0, "Finished", "completed by an earlier attempt")
        return await self._begin()

    async def _begin(self) -> Exit:
        return await self._train() if await self._resume() else await self._no_checkpoint()

    async def _no_checkpoint(self) -> Exit:
        return await self._stop("NoValidCheckpoint", "the store has none, the status had one")

    async def _resume(self) -> bool:
        """Load the newest sound checkpoint; False when there ought to be one and is none."""
        self.state = "Restoring"
        suspects = self._grant()["suspects"]
        while (newest := self.lineage.newest(suspects)) is not None and not newest.sound:
            newest.quarantined = True
            self.quarantined.append({"id": newest.id, "why": "digest mismatch"})
        if newest is None and (self._grant()["newest"] or self.lineage.commits):
            return False
        self.model = Model() if newest is None else newest.model
        self.resume = {
            "decision": "fresh" if newest is None else "checkpoint",
            "from": newest and reference(newest),
            "seconds": 1.0,
            "at": timestamp(self.clock.now()),
        }
        await self._spend("restore", 1.0)
        self.state = "Training"
        await self._report()
        return True

    async def _train(self) -> Exit:
        while self.model.step < self.plan.steps:
            broken = await self._breaks()
            if broken is not None:
                return broken
            if self._told_to_go():
                return await self._flush()
            await self._step()
            if self.lineage.superseded(self.attempt):
                return await self._stop("Superseded", "a higher attempt has claimed")
            if self.model.step % self.plan.interval == 0:
                await self._save("periodic")
        return await self._complete()

    async def _breaks(self) -> Exit | None:
        """What the plan has in store for this step of this attempt."""
        at = self.model.step
        origin = (self.resume or {}).get("from") or {}
        poisoned = (origin.get("attempt"), origin.get("step")) in self.plan.poisoned
        if self.plan.crashes.get(self.attempt) == at or (poisoned and at == origin["step"] + 1):
            return await self._crash()
        if self.plan.starved.get(self.attempt) == at:
            self.memory = {"oom": 1, "oomKill": 1, "limitBytes": STATE, "secondsBeforeEnd": 0.1}
            return await self._end(137, "", "")
        if self.plan.exits_early.get(self.attempt) == at:
            return await self._end(0, "", "")
        while self.plan.hangs.get(self.attempt) == at and not self._told_to_go():
            await self.clock.sleep(1.0)
            await self._report_if_due()
        return None

    async def _crash(self) -> Exit:
        ended = await self._end(1, "", "")
        return replace(ended, last_work=self._upload) if self.plan.uploading else ended

    async def _upload(self) -> None:
        await self.clock.sleep(self.plan.uploading)
        self.lineage.commit(Checkpoint(self.attempt, self.model, self.nonce))
        self.settled = True
        await self._report()

    async def _spend(self, kind: str, seconds: float) -> None:
        await self.clock.sleep(seconds)
        self.seconds[kind] = self.seconds.get(kind, 0.0) + seconds

    async def _step(self) -> None:
        again = self.model.step < self.config["highWaterStep"]
        await self._spend("replayed" if again else "productive", 1.0)
        self.model = self.model.next()
        self.last_step_at = timestamp(self.clock.now(), micro=True)
        self.stepped(self.attempt, self.model.step)
        await self._report_if_due()

    async def _save(self, reason: str) -> None:
        taken = self.model
        kind = "checkpointStall" if reason == "periodic" else "drain"
        await self._spend(kind, COMMIT_SECONDS)
        if self.lineage.superseded(self.attempt):
            return
        checkpoint = Checkpoint(self.attempt, taken, self.nonce)
        self.lineage.commit(checkpoint)
        self.commits += 1
        if self.pacing is not None:
            self.pacing.saw_save(
                Save(0.1, self.plan.latency, self.plan.latency, STATE, throttled=False)
            )
        self.commit = {
            **reference(checkpoint),
            "bytes": STATE,
            "committedAt": timestamp(self.clock.now()),
            "writeSeconds": COMMIT_SECONDS,
            "stallSeconds": 0.1,
            "reason": reason,
        }
        await self._report()

    def _trained_hours(self) -> float:
        return sum(self.seconds.get(one, 0.0) for one in ("productive", "replayed")) / 3600

    def _told_to_go(self) -> bool:
        notice = self.orders.notice
        return self.orders.deleted or (notice is not None and notice["kind"] == "Preempt")

    async def _flush(self) -> Exit:
        self.state = "Draining"
        await self._report()
        await self._save("notice")
        return await self._end(0, "Paused", "a notice")

    async def _complete(self) -> Exit:
        await self._save("final")
        self.lineage.complete.setdefault(self.attempt, self.model)
        ended = await self._end(0, "Finished", "")
        while self.plan.lingers and not self.orders.deleted:
            await self.clock.sleep(1.0)
            await self._report_if_due()
        return replace(ended, code=143) if self.plan.lingers else ended

    async def _stop(self, word: str, reason: str) -> Exit:
        return await self._end(names.EXIT_STOPPED, word, reason)

    async def _end(self, code: int, word: str, reason: str) -> Exit:
        self.state = "Ended"
        if word:
            self._say(word, reason)
        await self._report()
        return Exit(code, self._last_word())

    def _say(self, word: str, reason: str) -> None:
        self.word = {"word": word, "reason": reason, "at": timestamp(self.clock.now())}

    def _last_word(self) -> Json:
        word = self.word or {"word": None, "reason": ""}
        return {
            "version": 1,
            "word": word["word"],
            "reason": word["reason"],
            "step": self.model.step,
            "commit": self.commit and {k: self.commit[k] for k in ("attempt", "step", "id")},
            "problem": None,
            "notice": self._heard_notice(),
            "memory": self.memory,
        }

    def _heard_notice(self) -> Json | None:
        if self.orders.notice is not None:
            return self.orders.notice
        if not self.orders.deleted:
            return None
        now = timestamp(self.clock.now())
        return {
            "kind": "PodDeletion",
            "deadline": None,
            "source": "drain",
            "observedAt": now,
            "raw": "",
        }

    def _grant(self) -> Json:
        grant: Json = json.loads(self.pod["metadata"]["annotations"][names.ANNOTATION_GRANT])
        assert grant["attempt"] == self.attempt
        return grant

    async def _report_if_due(self) -> None:
        if self.clock.monotonic() - self.last_report >= REPORT_SECONDS:
            await self._report()

    async def _report(self) -> None:
        self.sequence += 1
        self.last_report = self.clock.monotonic()
        meta = self.pod["metadata"]
        body = {
            "version": 1,
            "namespace": meta["namespace"],
            "job": self.config["job"]["name"],
            "jobUID": self.job_uid,
            "attempt": self.attempt,
            "rank": 0,
            "pod": meta["name"],
            "podUID": meta["uid"],
            "sequence": self.sequence,
            "startedAt": self.started,
            "state": self.state,
            "trainer": {
                "registered": self.state != "Waiting",
                "step": self.model.step,
                "samples": self.model.step * 32,
                "epoch": 0,
                "lastStepAt": self.last_step_at,
            },
            "resume": self.resume,
            "commit": self.commit,
            "commits": self.commits,
            "settled": self.settled,
            "interval": self.pacing and self.pacing.to_json(),
            "seconds": self.seconds,
            "notice": self._heard_notice(),
            "word": self.word,
            "memory": self.memory,
            "found": self.found,
            "quarantined": self.quarantined,
        }
        await self.network.report(f"token-of-{meta['uid']}", json.dumps(body).encode())


def config_of(pod: Json) -> Json:
    """What the operator told the sidecar or the purge container, wherever webhooks have put others.

    Of a pod this alone stays as it was made: labels are anybody's to change.
    """
    spec = pod["spec"]
    (ours,) = (
        one
        for one in (*spec.get("initContainers", ()), *spec["containers"])
        if one["name"] in {names.SIDECAR_CONTAINER, names.PURGE_CONTAINER}
    )
    config: Json = json.loads(ours["env"][0]["value"])
    return config


def reference(checkpoint: Checkpoint) -> Json:
    """How reports name a checkpoint."""
    return {
        "attempt": checkpoint.attempt,
        "step": checkpoint.model.step,
        "id": checkpoint.id,
    }
