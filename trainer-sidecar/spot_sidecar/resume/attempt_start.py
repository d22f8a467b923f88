"""How this attempt begins: waits for the grant, claims, searches, and tells each process once."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spot_training.checkpoint.records import FormatError, UnsupportedSchema
from spot_training.checkpoint.store import StoreError

from spot_sidecar.base.pulse import Pulse
from spot_sidecar.lineage.fence import Fence, ResurrectedError
from spot_sidecar.operator_link.grant import GrantWatcher
from spot_sidecar.resume.decision import (
    AlreadyCompleted,
    Bringing,
    Decision,
    Fresh,
    FromCheckpoint,
    Stop,
)
from spot_sidecar.resume.search import Search
from spot_sidecar.shared_memory.arenas import StagingTooSmallError
from spot_sidecar.state.attempt_state import AttemptState, Origin, Resumed
from spot_sidecar.state.pod_journal import PodJournal

__all__ = ["AttemptStart", "Loaded"]

log = logging.getLogger(__name__)

SECOND_START_SECONDS = 60.0
"""How long a second `resume()` under one grant waits for another before it is refused."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A process's word that it holds the state: `differs` names tensors that do not match (V5)."""

    process: int
    step: int
    verified: bool
    differs: Sequence[str]
    seconds: float


class AttemptStart:
    """The decision, while it is made and after."""

    def __init__(
        self,
        grants: GrantWatcher,
        fence: Fence,
        search: Search,
        fetch: Bringing,
        *,
        attempt_state: AttemptState,
        journal: PodJournal,
        begins_at: Callable[[int], object],
        turns: Callable[[], object],
    ) -> None:
        """Both are called just before: `turns` restoring, `begins_at` training from that step."""
        self._grants = grants
        self._fence = fence
        self._search = search
        self._fetch = fetch
        self._attempt_state = attempt_state
        self._journal = journal
        self._begins_at = begins_at
        self._turns = turns
        self._since: float | None = None
        self._loaded: set[int] = set()
        self._second_starts: dict[int, float] = {}
        self.decision: Decision | None = None
        self.why = "the operator has not granted this attempt yet"
        self.changes = Pulse()

    @property
    def restoring(self) -> bool:
        """Whether time now goes into bringing back a checkpoint."""
        fresh = isinstance(self.decision, Fresh)
        return self._since is not None and not self.begun and not fresh

    @property
    def begun(self) -> bool:
        """Whether a process of the trainer has what it continues with."""
        return bool(self._journal.get("started"))

    @property
    def parent(self) -> Origin | None:
        """The checkpoint this attempt continues, for the manifests of its own."""
        origin = (self._journal.get("decided") or {}).get("from")
        return Origin(**origin) if origin else None

    async def run(self) -> None:
        """Come to the decision; after a restart of this container, to the same one."""
        grant = await self._grants.granted()
        self._wait("the store is being asked")
        try:
            decision = await self._search.open(grant) or await self._claim_and_decide()
        except ResurrectedError as error:
            decision = Stop("Resurrected", str(error))
        except StagingTooSmallError as error:
            self._attempt_state.meet("StagingTooSmall", str(error))
            decision = Stop("StartFailed", str(error))
        except UnsupportedSchema as error:
            decision = Stop("NoValidCheckpoint", str(error))
        except (FormatError, StoreError) as error:
            # A document of an attempt is damaged: it says nothing about any checkpoint.
            self._attempt_state.meet("CheckpointCorrupt", str(error))
            decision = Stop("StartFailed", str(error))
        self._conclude(decision)
        self._discard_if_all_loaded()

    async def answer(self, process: int, seconds: float, container: str = "") -> Decision | None:
        """The decision for this process, waited for up to `seconds`; None: not made yet.

        `container` is the one it runs in, in its run; empty where it does not know.
        """
        asked_in: dict[str, str] = self._journal.get("containers", {})
        if self._has_started(process):
            if container and asked_in.get(str(process)) == container:
                return self._started_again(process)
            return await self._second_start(process, seconds)
        self._journal.put(containers=asked_in | {str(process): container})
        clock = self._attempt_state.clock
        end = clock.monotonic() + seconds
        while self.decision is None and (left := end - clock.monotonic()) > 0:
            await self.changes.beyond(self.changes.beat, left)
        return self.decision

    def loaded(self, word: Loaded) -> None:
        """A process tells that it has loaded what it was given, or found that it differs."""
        if not word.verified:
            differs = ", ".join(word.differs[:8]) or "the state"
            self._attempt_state.meet(
                "CheckpointCorrupt",
                f"after loading, process {word.process} holds other values than the manifest says: "
                f"{differs}; the node's memory or the script's load is at fault",
            )
            return
        self._loaded.add(word.process)
        self._start(word.process, word.step)
        self._discard_if_all_loaded()

    def started(self, process: int) -> None:
        """A process shows progress: if it was to begin from zero, it has begun."""
        if isinstance(self.decision, Fresh) and not self._has_started(process):
            self._start(process, 0)

    def halt(self, word: str, reason: str) -> None:
        """No process of this attempt may begin any more."""
        self._conclude(Stop(word, reason))

    def turn_away(self, reason: str) -> None:
        """The pod is going before anything has begun: a process that waits has nothing to save."""
        if not self.begun and self.decision is None:
            self.decision = Stop("Deleted", reason)
            self.changes.ring()

    async def _claim_and_decide(self) -> Decision:
        grant = await self._grants.granted()
        await self._fence.claim()
        higher = await self._fence.check(patiently=True)
        if higher is not None:
            return Stop("Superseded", f"attempt {higher} has begun")
        if self.begun:
            # A restarted sidecar: the trainer has what it needs. The one before may have been
            # killed between the start and the writing of its state.
            if self._attempt_state.resumed is None:
                self._show_start()
            return Fresh()
        self._turns()
        self._since = self._attempt_state.clock.monotonic()
        self._wait("looking for the newest checkpoint that verifies")
        return await self._search.decide(grant)

    def _started_again(self, process: int) -> Decision | None:
        """Only a container that was run again may be meant to wait for another grant."""
        reason = (
            f"process {process} asked for its state a second time in the same container: something "
            "in it starts the trainer again when it has ended (a loop of the shell, `torchrun "
            "--max-restarts`), or the script calls resume() twice. The operator begins the next "
            "attempt itself, in a new pod: remove that, in a new job"
        )
        self._conclude(Stop("StartedAgain", reason))
        return self.decision

    async def _second_start(self, process: int, seconds: float) -> Decision | None:
        """A grant starts each process once: another start waits for another grant, then ends."""
        clock = self._attempt_state.clock
        since = self._second_starts.setdefault(process, clock.monotonic())
        left = since + SECOND_START_SECONDS - clock.monotonic()
        await clock.sleep(min(seconds, max(0.0, left)))
        if left > seconds:
            return None
        reason = (
            f"process {process} asked for its state a second time under the grant of this attempt: "
            "its container was run again"
        )
        self._conclude(Stop("Resurrected", reason))
        return self.decision

    def _wait(self, why: str) -> None:
        self.why = why
        self.changes.ring()

    def _conclude(self, decision: Decision) -> None:
        if isinstance(self.decision, Stop):
            return
        self.decision = decision
        self.why = ""
        if isinstance(decision, Fresh | FromCheckpoint) and not self.begun:
            origin = decision.origin if isinstance(decision, FromCheckpoint) else None
            shown = {"decision": decision.name, "from": origin.to_json() if origin else None}
            self._journal.put(decided=shown)
        log.info("decision", extra={"decision": decision.name})
        if isinstance(decision, Stop):
            self._attempt_state.say(decision.word, decision.reason)
            if decision.word != "StartFailed":
                self._attempt_state.meet(decision.word, decision.reason)
        if isinstance(decision, AlreadyCompleted):
            self._attempt_state.say("Finished", f"attempt {decision.attempt} has completed the job")
        if isinstance(decision, Stop | AlreadyCompleted):
            self._show(decision.name, None)
        self.changes.ring()

    def _start(self, process: int, step: int) -> None:
        first = not self.begun
        if first:
            self._begins_at(step)
        self._journal.put(started=sorted({*self._journal.get("started", ()), process}))
        if first:
            self._show_start()

    def _show_start(self) -> None:
        """From the journal: the container may have been restarted since it told the trainer."""
        decided = self._journal.get("decided")
        if decided:
            origin = decided["from"]
            self._show(decided["decision"], origin and Origin(**origin))

    def _show(self, decision: str, origin: Origin | None) -> None:
        clock = self._attempt_state.clock
        self._attempt_state.resumed = Resumed(
            decision=decision,
            origin=origin,
            seconds=clock.monotonic() - self._since if self._since is not None else 0.0,
            at=clock.now(),
        )
        self._attempt_state.changed()

    def _has_started(self, process: int) -> bool:
        return process in self._journal.get("started", ())

    def _discard_if_all_loaded(self) -> None:
        if isinstance(self.decision, FromCheckpoint):
            given = {file.process for file in self.decision.files}
            if given <= self._loaded:
                self._fetch.discard()
