"""The warning about a lineage that a former job of this name left unfinished.

Whoever deletes a job and creates it again often thinks that it goes on; it begins from zero. So the
first attempt says what is there, and what to write to go on from it. Usually this costs one LIST.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from spot_training.checkpoint import keys, records
from spot_training.checkpoint.manifest import Manifest
from spot_training.checkpoint.store import NotFound, Store, StoreError

from spot_sidecar.config.spot_config import JobName
from spot_sidecar.lineage.access import PROBLEMS, Lineage
from spot_sidecar.state.attempt_state import UNFINISHED_LINEAGE, AttemptState

__all__ = ["Unfinished", "find_unfinished", "warn_of_unfinished"]

log = logging.getLogger(__name__)


LOOKED_AT = 16
"""Former lineages, of however many, that are looked at."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A former job's lineage with commits and no completion marker."""

    uid: str
    step: int
    committed_at: str
    """Of its newest checkpoint."""


async def warn_of_unfinished(
    lineage: Lineage, connect: Callable[[], Store], job: JobName, attempt_state: AttemptState
) -> None:
    """Tell the operator, if there is one; `connect` leads to all lineages of the job's name.

    Trouble on the way is not waited out: a warning is not worth a late start.
    """
    try:
        found = await lineage.once(lambda _own: find_unfinished(connect(), job.uid))
    except StoreError as error:
        log.info("lineages of former jobs cannot be looked at: %s", error)
        attempt_state.solved(*PROBLEMS)
        return
    if found is not None:
        said = warning(found, job)
        attempt_state.meet(UNFINISHED_LINEAGE, said)
        attempt_state.note(UNFINISHED_LINEAGE, said, warning=True)


def find_unfinished(store: Store, own: str) -> Unfinished | None:
    """The one that was committed to last; `store` has the lineages of all jobs of the name, by uid.

    Raises StoreError: it cannot be seen.
    """
    others = [uid for uid in store.folders("") if uid != own]
    found = [one for uid in others[:LOOKED_AT] if (one := _unfinished(store, uid))]
    return max(found, key=lambda one: one.committed_at, default=None)


def warning(found: Unfinished, job: JobName) -> str:
    """What a person should know and may want to write."""
    return (
        f"an earlier job of this name left an unfinished lineage (uid {found.uid}, newest step "
        f"{found.step}), and this job begins from zero. To go on from it, delete this job and "
        "create it again with spec.checkpoint.resumeFrom: "
        f'{{name: "{job.name}", uid: "{found.uid}"}}'
    )


def _unfinished(store: Store, uid: str) -> Unfinished | None:
    if any(map(keys.parse_marker, _below(store, uid, keys.MARKERS))):
        return None
    for key in _below(store, uid, keys.COMMITS):  # newest first
        newest = keys.parse_commit(key)
        if newest is not None:
            return Unfinished(uid, newest.step, _committed_at(store, f"{uid}/{key}"))
    return None


def _below(store: Store, uid: str, prefix: str) -> list[str]:
    return [key.removeprefix(f"{uid}/") for key in store.list(f"{uid}/{prefix}")]


def _committed_at(store: Store, key: str) -> str:
    try:
        return records.load(Manifest, store.read(key)).committed_at
    except (records.FormatError, NotFound):
        return ""
