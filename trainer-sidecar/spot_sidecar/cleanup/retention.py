"""Lets old checkpoints go, by the SDK's rules: rank 0 of the newest attempt, beside the training.

A pass runs after a checkpoint verified, and every now and then; never while something presses.
Trouble with the store is left for the next pass: nothing here is ever waited for.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from spot_training.checkpoint import keys, records
from spot_training.checkpoint.manifest import Pin
from spot_training.checkpoint.orphans import discard_orphans, forget_attempts
from spot_training.checkpoint.pruning import Pruned, Pruner
from spot_training.checkpoint.retention import Keep
from spot_training.checkpoint.store import Denied, Misconfigured, Store, StoreError

from spot_sidecar.base.clock import Clock, timestamp
from spot_sidecar.observability.metrics import Metrics
from spot_sidecar.operator_link.grant import GrantWatcher
from spot_sidecar.snapshots.committer import Committer

__all__ = ["Retention"]

log = logging.getLogger(__name__)

EVERY_SECONDS: Final = 600.0
"""Between two passes where nothing is committed: what was given up comes due."""
REFUSED_SECONDS: Final = 3600.0
"""Between two passes where the store denies deletes."""
TIDY_SECONDS: Final = 3600.0
ORPHAN_SECONDS: Final = 86_400.0
"""Data without a manifest, and records of ended attempts, are left alone for a day."""
BY: Final = "spot-sidecar"


@dataclass(slots=True)
class Retention:
    """One pod's part in it; `ending` says whether to leave the store to the last save."""

    committer: Committer
    grants: GrantWatcher
    metrics: Metrics
    ending: Callable[[], bool]
    _refused: bool = field(default=False, init=False)
    _told: bool = field(default=False, init=False)
    _tidied: float | None = field(default=None, init=False)

    async def run(self) -> None:
        """Look after the lineage until cancelled; only rank 0 has anything to do."""
        config, proofs = self.committer.config, self.committer.proofs
        if config.rank != 0:
            return
        pruner = self._pruner()
        while True:
            beat = proofs.beat
            if not self._pressed():
                await self._look_after(pruner)
            await self._clock.sleep(REFUSED_SECONDS if self._refused else config.keep.pause)
            await proofs.beyond(beat, EVERY_SECONDS)

    @property
    def _clock(self) -> Clock:
        return self.committer.attempt_state.clock

    def _pruner(self) -> Pruner:
        config, grant = self.committer.config, self.grants.grant
        return Pruner(
            attempt=config.attempt,
            node=self.committer.pod.node,
            now=self._now,
            keep=Keep(config.keep.newest, config.keep.milestone_every),
            suspects=grant.suspects if grant else (),
            pressed=self._pressed,
        )

    def _pressed(self) -> bool:
        return self.ending() or self.committer.fence.superseded_by is not None

    async def _look_after(self, pruner: Pruner) -> None:
        once = self.committer.lineage.once
        try:
            await once(partial(_pin, suspects=pruner.suspects, now=self._now))
            self._tell(await once(pruner.prune))
            await self._tidy()
        except (StoreError, records.FormatError) as error:
            log.info("old checkpoints stay for now: %s", error)

    async def _tidy(self) -> None:
        """Every hour: what was never committed, and what no attempt will read again."""
        now = self._clock.monotonic()
        if self._refused or (self._tidied is not None and now < self._tidied + TIDY_SECONDS):
            return
        self._tidied = now
        tidy = partial(_discard, attempt=self.committer.config.attempt, pressed=self._pressed)
        orphans, refused = await self.committer.lineage.once(tidy)
        if orphans:
            log.info("data without a manifest removed", extra={"checkpoints": orphans[:16]})
        self._hear(refused)

    def _tell(self, pruned: Pruned) -> None:
        self.metrics.saw_retention(pruned)
        for name, ids in (
            ("given up", pruned.expired),
            ("taken back", pruned.taken_back),
            ("deleted", pruned.deleted),
        ):
            if ids:
                log.info("old checkpoints: %s", name, extra={"checkpoints": ids[:16]})
        self._hear(pruned.refused)

    def _hear(self, refused: str) -> None:
        """A refusal is reported once: it only costs money."""
        self._refused = bool(refused)
        if refused and not self._told:
            self._told = True
            message = f"old checkpoints stay, because the store denies deletes: {refused}"
            log.warning(message)
            self.committer.attempt_state.note("RetentionRefused", message, warning=True)

    def _now(self) -> str:
        return timestamp(self._clock.now())


def _pin(store: Store, *, suspects: Collection[str], now: Callable[[], str]) -> None:
    """A suspect stays, also when the operator has forgotten it: people will want to look at it."""
    for suspect in suspects:
        if not store.list(keys.pin(suspect)) and store.list(keys.commit(suspect)):
            why = "suspect: attempts that resumed from it failed"
            pin = Pin(id=suspect, by=BY, why=why, at=now())
            store.create(keys.pin(suspect), records.dump(pin))


def _discard(
    store: Store, *, attempt: int, pressed: Callable[[], bool]
) -> tuple[tuple[str, ...], str]:
    """What was removed, and what the store said if it refused.

    Hearing a refusal here keeps it out of the job's conditions: training is in no danger.
    """
    try:
        orphans = discard_orphans(
            store, before=attempt, older_seconds=ORPHAN_SECONDS, going_on=lambda: not pressed()
        )
        forget_attempts(store, before=attempt, older_seconds=ORPHAN_SECONDS)
    except (Denied, Misconfigured) as error:
        return (), str(error)
    return orphans, ""
