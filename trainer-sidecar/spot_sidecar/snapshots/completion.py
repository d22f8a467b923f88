"""The end of the job: final checkpoint, create-only marker, the word Finished, its receipt."""

import asyncio
import logging
from dataclasses import dataclass
from functools import partial

from spot_training.checkpoint import keys, records
from spot_training.checkpoint.manifest import Marker
from spot_training.checkpoint.store import Store

from spot_sidecar.base.clock import timestamp
from spot_sidecar.lineage.access import Lineage
from spot_sidecar.operator_link.reporter import Reporter
from spot_sidecar.state.attempt_state import AttemptState, CommitSeen

__all__ = ["Completed", "Completion"]

log = logging.getLogger(__name__)

HEARD_SECONDS = 30.0
"""How long the operator's acknowledgement is waited for; the marker decides without it."""


@dataclass(frozen=True, slots=True)
class Completed:
    """The job's result is durable; `acknowledged`: the operator knows."""

    acknowledged: bool

    def to_json(self) -> dict[str, bool]:
        return {"completed": True, "acknowledged": self.acknowledged}


class Completion:
    """Completes the job once, however often it is asked to."""

    def __init__(self, lineage: Lineage, attempt_state: AttemptState, reporter: Reporter) -> None:
        self._lineage = lineage
        self._attempt_state = attempt_state
        self._reporter = reporter
        self._task: asyncio.Task[Completed] | None = None

    async def complete(self, final: CommitSeen, seconds: float) -> Completed | None:
        """Mark `final` as the job's result; None: not done within `seconds`, ask again."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(final))
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(self._task)
        except TimeoutError:
            return None

    async def wait_until_idle(self, seconds: float) -> None:
        """Wait up to `seconds` for a completion that is under way."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)

    async def _run(self, final: CommitSeen) -> Completed:
        marker = Marker(
            attempt=self._attempt_state.attempt,
            id=final.origin.id,
            step=final.origin.step,
            at=timestamp(self._attempt_state.clock.now()),
        )
        await self._lineage.patiently(partial(_mark, marker=marker))
        self._attempt_state.say("Finished", f"step {final.origin.step} is the result")
        word = self._attempt_state.word
        heard = word is not None and await self._reporter.heard(word, HEARD_SECONDS)
        log.info("completed", extra={"id": final.origin.id, "acknowledged": heard})
        return Completed(heard)


def _mark(store: Store, *, marker: Marker) -> bool:
    """Write the marker; one that stands already (ours, before a restart) says the same."""
    return store.create(keys.marker(marker.attempt), records.dump(marker))
