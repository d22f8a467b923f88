"""Whether a certain notice leaves time for a last save, and what then becomes of other uploads."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from spot_sidecar.interval.costs import Measured
from spot_sidecar.interval.last_save_policy import LastSaveDecision, Window, decide
from spot_sidecar.interval.pacing import Pacing
from spot_sidecar.snapshots.snapshot import Snapshot
from spot_sidecar.snapshots.transfer import Transfer
from spot_sidecar.state.attempt_state import AttemptState

__all__ = ["Advice", "LastSave"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about a certain notice."""

    decision: LastSaveDecision
    why: str

    def to_json(self) -> dict[str, object]:
        return {
            "save": self.decision.saves,
            "plan": self.decision.value,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class LastSave:
    """Decides by what saves cost so far and by what is under way."""

    pacing: Pacing
    attempt_state: AttemptState
    transfer_of: Callable[[int], Transfer | None]
    """The upload under way of a process."""
    spare_arena: Callable[[int], bool]
    """Whether a process could write a snapshot while its upload is under way."""

    def advise(self, process: int, left: float | None) -> Advice:
        """Before a last save is taken; `left` seconds from now (None: no deadline)."""
        measured, transfer = self.pacing.measured, self.transfer_of(process)
        save = None if measured is None else measured.save_seconds(measured.bytes)
        found = decide(self._window(transfer, left, save, free=self.spare_arena(process)))
        why = _explained(found, measured, left)
        if not found.saves:
            kept = self._kept(transfer)
            self.attempt_state.note("LastSaveSkipped", f"{why}; {kept}", warning=True)
        log.info("last save", extra={"plan": found.value, "why": why})
        return Advice(found, why)

    def gives_way(self, waiting: Snapshot, left: float | None) -> bool:
        """Whether the upload under way is to be paused for this snapshot, which is taken."""
        measured, transfer = self.pacing.measured, self.transfer_of(waiting.process)
        if measured is None:
            return False
        save = measured.upload_seconds(waiting.bytes) + measured.commit
        return decide(self._window(transfer, left, save, free=True)) is LastSaveDecision.BEFORE

    def _window(
        self, transfer: Transfer | None, left: float | None, save: float | None, *, free: bool
    ) -> Window:
        if transfer is None:
            return Window(left, save)
        now = self.attempt_state.clock.monotonic()
        rest = transfer.rest(self.pacing.measured, now) or 0.0
        return Window(left, save, rest, may_pause=free and transfer.sending)

    def _kept(self, transfer: Transfer | None) -> str:
        if transfer is not None:
            return f"the snapshot of step {transfer.snapshot.step}, under way, is finished"
        if self.attempt_state.commit is None:
            return "no checkpoint of this attempt exists"
        return f"the checkpoint of step {self.attempt_state.commit.origin.step} is kept"


def _explained(found: LastSaveDecision, measured: Measured | None, left: float | None) -> str:
    if measured is None:
        return "no save has been measured yet: the sidecar tries one"
    if left is None:
        return "no deadline is known"
    needs = (
        f"a last save takes {measured.save_seconds(measured.bytes):.1f} s ({measured.stall:.1f} s "
        f"to copy the state, {measured.upload_seconds(measured.bytes):.1f} s to upload "
        f"{measured.bytes / 1e6:.1f} MB, {measured.commit:.1f} s to commit)"
    )
    fits = "there is time" if found.saves else "there is not enough time"
    return f"{fits}: {needs}, {left:.1f} s are left"
