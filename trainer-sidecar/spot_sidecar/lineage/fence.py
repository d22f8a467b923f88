"""The claim: which pod holds this attempt and rank, and whether a later attempt has begun.

A pod that the kubelet ran a second time finds its private memory empty and its claim taken by a
nonce it does not know: Resurrected. A sidecar that sees a higher claim commits no more and stops
its trainer: Superseded. The check is advisory; safety comes from the attempt in every key.
"""

import logging
from collections.abc import Callable
from functools import partial

from spot_training.checkpoint import claim as claims
from spot_training.checkpoint.manifest import Claim
from spot_training.checkpoint.store import NotFound, StoreError

from spot_sidecar.base.clock import timestamp
from spot_sidecar.base.pulse import Pulse
from spot_sidecar.config.spot_config import Config, Pod
from spot_sidecar.lineage.access import Lineage
from spot_sidecar.state.attempt_state import AttemptState
from spot_sidecar.state.pod_journal import PodJournal

__all__ = ["Fence", "ResurrectedError"]

log = logging.getLogger(__name__)

CHECK_SECONDS = 15.0


class ResurrectedError(Exception):
    """Another incarnation of this pod has claimed this attempt and rank."""


class Fence:
    """This pod's claim, and the watch for a higher one."""

    def __init__(
        self,
        lineage: Lineage,
        attempt_state: AttemptState,
        *,
        journal: PodJournal,
        config: Config,
        pod: Pod,
        superseded: Callable[[int], object],
    ) -> None:
        """`superseded` is called once, with the number of the higher attempt."""
        self._lineage = lineage
        self._attempt_state = attempt_state
        self._journal = journal
        self._config = config
        self._pod = pod
        self._superseded = superseded
        self._checks = Pulse()
        self.superseded_by: int | None = None
        self._nonce: str | None = None

    async def claim(self) -> None:
        """Claim this attempt and rank, for as long as it takes; again after a restart.

        Raises:
            ResurrectedError: it is claimed by another incarnation.
        """
        mine = Claim(
            attempt=self._config.attempt,
            rank=self._config.rank,
            pod_uid=self._pod.uid,
            nonce=self._own_nonce(),
            node=self._pod.node,
            at=timestamp(self._attempt_state.clock.now()),
        )
        result = await self._lineage.patiently(partial(claims.claim, mine=mine))
        if isinstance(result, claims.Taken):
            holder = result.holder
            raise ResurrectedError(
                f"attempt {holder.attempt} rank {holder.rank} was claimed at {holder.at} by pod "
                f"{holder.pod_uid} on node {holder.node}, an earlier run of this pod: "
                "a node that returns may run its pods again"
            )

    async def nonce(self) -> str:
        """The nonce in the ids of this attempt's checkpoints: that of rank 0's claim."""
        while self._nonce is None:
            if self._config.rank == 0:
                self._nonce = self._own_nonce()
                break
            try:
                found = await self._lineage.patiently(
                    partial(claims.read_claim, attempt=self._config.attempt, rank=0)
                )
                self._nonce = found.nonce
            except NotFound:
                await self._attempt_state.clock.sleep(1.0)
        return self._nonce

    async def check(self, *, patiently: bool = False) -> int | None:
        """Check for a higher claim now; return the attempt that has superseded this one, if any.

        Raises:
            StoreError: the claims cannot be listed (never because of trouble, if `patiently`).
        """
        if self.superseded_by is None:
            ask = self._lineage.patiently if patiently else self._lineage.once
            self._heard(await ask(partial(claims.superseded_by, attempt=self._config.attempt)))
        return self.superseded_by

    async def watch(self) -> None:
        """Check every 15 s, and at once when `check_soon` was called, until superseded."""
        while self.superseded_by is None:
            beat = self._checks.beat
            try:
                await self.check()
            except StoreError as error:
                log.debug("claims cannot be listed: %s", error)
            await self._checks.beyond(beat, CHECK_SECONDS)

    def check_soon(self) -> None:
        """There is reason to believe that a later attempt has begun."""
        self._checks.ring()

    def _heard(self, higher: int | None) -> None:
        # Several checks may be under way at once: the first one to see it tells.
        if higher is not None and self.superseded_by is None:
            self.superseded_by = higher
            self._superseded(higher)

    def _own_nonce(self) -> str:
        nonce = self._journal.get("nonce")
        if nonce is None:
            nonce = self._attempt_state.entropy.token(4)
            self._journal.put(nonce=nonce)
        return str(nonce)
