"""Removes what uploads that were never finished left in the store: parts that cost money, drafts.

Those of earlier attempts go at once: they have ended or are fenced, and a volume may need the room.
Of this attempt only this pod's own go, and only after an hour, because a restarted sidecar goes on
with them; never another rank's or a later attempt's. An upload that this process is working on
stays, however old it is.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from spot_training.checkpoint import keys
from spot_training.checkpoint.store import Denied, Store, StoreError

from spot_sidecar.base.clock import Clock
from spot_sidecar.config.spot_config import Config
from spot_sidecar.lineage.access import Lineage

__all__ = ["clear_leftovers", "spared"]

log = logging.getLogger(__name__)

OLD_SECONDS: Final = 3600.0
EVERY_SECONDS: Final = 3600.0


async def clear_leftovers(lineage: Lineage, clock: Clock, config: Config) -> None:
    """Clear until cancelled: once the attempt has begun, then every hour."""
    discard = partial(_discard, attempt=config.attempt, rank=config.rank)
    while True:
        try:
            removed = await lineage.once(discard)
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


def _discard(store: Store, *, attempt: int, rank: int) -> tuple[str, ...]:
    """A refusal ends here and does not become a problem of the job: training is in no danger."""
    try:
        ended = store.discard_abandoned(lambda key: not _is_before(key, attempt), older_seconds=0.0)
        old = store.discard_abandoned(spared(attempt, rank), older_seconds=OLD_SECONDS)
    except Denied as error:
        log.info("unfinished uploads stay, because the store denies their removal: %s", error)
        return ()
    return (*ended, *old)


def _is_before(key: str, attempt: int) -> bool:
    place = keys.parse_data(key)
    return place is not None and keys.CheckpointId.parse(place[0]).attempt < attempt
