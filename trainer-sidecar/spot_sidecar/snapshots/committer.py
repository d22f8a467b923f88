"""From a durable share to a checkpoint: receipt, fence, manifest, and a look at what was stored.

No trainer takes part. Rank 0 commits at once, rank r steps in after r times 30 s. The higher claims
are listed before each commit: a superseded attempt commits no more.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from spot_training.checkpoint import commit, keys, records, selection, verify
from spot_training.checkpoint.manifest import Manifest, Receipt
from spot_training.checkpoint.store import NotFound, Store, StoreError

from spot_sidecar.base.clock import timestamp
from spot_sidecar.base.pulse import Pulse
from spot_sidecar.config.spot_config import Config, Pod
from spot_sidecar.lineage.access import TROUBLE, Lineage
from spot_sidecar.lineage.fence import Fence
from spot_sidecar.state.attempt_state import AttemptState

__all__ = ["Committer", "NotCommittedError", "SupersededError"]

log = logging.getLogger(__name__)

STEP_IN_SECONDS = 30.0
"""What a rank leaves each rank below it, to commit first."""
RECEIPTS_SECONDS = 600.0
"""How long the other ranks' receipts are waited for."""
RETRY_SECONDS = (0.5, 2.0)


class SupersededError(Exception):
    """A later attempt has begun: this one may not commit."""


class NotCommittedError(Exception):
    """The checkpoint can never be committed; the message says why."""


@dataclass(frozen=True, slots=True)
class Committer:
    """Writes receipts and manifests for this pod."""

    lineage: Lineage
    fence: Fence
    attempt_state: AttemptState
    config: Config
    pod: Pod
    proofs: Pulse = field(default_factory=Pulse)
    """Rings with each checkpoint that verified after its upload."""

    async def standing_receipt(self, checkpoint: str) -> Receipt | None:
        """The receipt this rank has written for the checkpoint before, if any."""
        read = partial(_read_receipt, key=keys.receipt(checkpoint, self.config.rank))
        return await self.lineage.patiently(read)

    async def write_receipt(self, receipt: Receipt) -> Receipt:
        """Write the receipt; return the one that stands (ours, if we wrote it before)."""
        return await self.lineage.patiently(partial(_create_receipt, receipt=receipt))

    async def commit(self, receipt: Receipt) -> Manifest:
        """Commit the checkpoint that the receipt is a share of, for as long as it takes.

        Raises:
            SupersededError: a later attempt has begun.
            NotCommittedError: the receipts contradict each other, or some never came.
        """
        await self._step_in(receipt.id)
        waited = 0.0
        while True:
            try:
                await self._expect_not_superseded()
                return await self.lineage.once(self._write(receipt))
            except commit.Incomplete as error:
                if waited > RECEIPTS_SECONDS:
                    raise NotCommittedError(str(error)) from None
            except (commit.Disagreement, records.FormatError) as error:
                raise NotCommittedError(str(error)) from None
            except TROUBLE:
                log.info("commit waits for the store", extra={"id": receipt.id})
            pause = self.attempt_state.entropy.uniform(*RETRY_SECONDS)
            await self.attempt_state.clock.sleep(pause)
            waited += pause

    async def verify(self, manifest: Manifest) -> None:
        """Look at what was stored (V1, V2) and record the result; trouble is not worth waiting."""
        try:
            verdict = await self.lineage.once(
                partial(verify.prove, checkpoint=manifest.id, node=self.pod.node, at=self._now())
            )
            if isinstance(verdict, selection.Bad):
                self.attempt_state.meet("CheckpointCorrupt", verdict.evidence.detail)
                self.attempt_state.note("CheckpointCorrupt", verdict.evidence.detail, warning=True)
            elif isinstance(verdict, selection.Good):
                self.proofs.ring()
        except StoreError as error:
            log.info("not verified after its upload: %s", error, extra={"id": manifest.id})

    async def _step_in(self, checkpoint: str) -> None:
        """Leave the ranks below their time, but not after one of them has committed."""
        end = self.attempt_state.clock.monotonic() + STEP_IN_SECONDS * self.config.rank
        while self.attempt_state.clock.monotonic() < end:
            found = await self.lineage.patiently(lambda store: store.list(keys.commit(checkpoint)))
            if found:
                return
            await self.attempt_state.clock.sleep(self.attempt_state.entropy.uniform(*RETRY_SECONDS))

    async def _expect_not_superseded(self) -> None:
        higher = await self.fence.check()
        if higher is not None:
            raise SupersededError(
                f"attempt {higher} has begun: attempt {self.config.attempt} is over"
            )

    def _write(self, mine: Receipt) -> Callable[[Store], Manifest]:
        def write(store: Store) -> Manifest:
            alone = self.config.ranks == 1
            receipts = (mine,) if alone else commit.read_receipts(store, mine.id)
            return commit.commit(store, receipts, committed_at=self._now())

        return write

    def _now(self) -> str:
        return timestamp(self.attempt_state.clock.now())


def _read_receipt(store: Store, *, key: str) -> Receipt | None:
    try:
        return records.load(Receipt, store.read(key))
    except NotFound:
        return None


def _create_receipt(store: Store, *, receipt: Receipt) -> Receipt:
    key = keys.receipt(receipt.id, receipt.rank)
    if store.create(key, records.dump(receipt)):
        return receipt
    return records.load(Receipt, store.read(key))
