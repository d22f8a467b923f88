"""Removes what uploads that were never finished left in the store: parts that cost money, drafts.

Only this pod's own and those of earlier attempts, which have ended or are fenced; never another
rank's or a later attempt's; and nothing younger than an hour. An upload that this process is
working on stays, however old it is.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from spot_training.checkpoint import keys
from spot_training.checkpoint.store import Store, StoreError

from spot_sidecar.clock import Clock
from spot_sidecar.config import Config
from spot_sidecar.lineage import Lineage

__all__ = ["clear_leftovers", "spared"]

log = logging.getLogger(__name__)

OLD_SECONDS: Final = 3600.0
EVERY_SECONDS: Final = 3600.0


async def clear_leftovers(lineage: Lineage, clock: Clock, config: Config) -> None:
    """Clear until cancelled: once the attempt has begun, then every hour."""
    spare = spared(config.attempt, config.rank)
    while True:
        try:
            removed = await lineage.once(partial(_discard, spare=spare))
            if removed:
                log.info("unfinished uploads removed", extra={"keys": removed[:16]})
        except StoreError as error:
            log.info("unfinished uploads stay for now: %s", error)
        await clock.sleep(EVERY_SECONDS)


def spared(attempt: int, rank: int) -> Callable[[str], bool]:
    """Whether a key belongs to somebody who may still be working on it."""

    def spare(key: str) -> bool:
        place = keys.parse_data(key)
        if place is None:
            return False  # a draft of a document: made in a moment, so an old one is a dead one's
        theirs = keys.CheckpointId.parse(place[0]).attempt
        return theirs > attempt or (theirs == attempt and place[1] != rank)

    return spare


def _discard(store: Store, *, spare: Callable[[str], bool]) -> tuple[str, ...]:
    return store.discard_abandoned(spare, older_seconds=OLD_SECONDS)
