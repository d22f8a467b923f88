"""Deletes a lineage whose job is deleted and asked for that (`deletionPolicy: Delete`).

What makes a checkpoint goes first: receipts, because a complete set of them is rolled forward to a
manifest, then the manifests, then the data. Claims and the format record go last, so that whoever
reads meanwhile knows missing data for missing. A crash at any point leaves no checkpoint that looks
whole and is not, and the next call goes on. A pinned checkpoint stays: somebody gave their word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spot_training.checkpoint import keys
from spot_training.checkpoint.parallel import for_each
from spot_training.checkpoint.store import Store

ROUNDS = 3
"""Looks at what is left: a writer that was thought dead may have added something."""
_FIRST = (keys.RECEIPTS, keys.COMMITS, keys.DATA)
_LAST = (keys.MARKERS, keys.CLAIMS, keys.FORMAT)


@dataclass(frozen=True, slots=True)
class Purged:
    """What became of a lineage: how many keys went, which pinned checkpoints stay, what is left."""

    deleted: int
    kept: tuple[str, ...]
    left: int


def purge(store: Store) -> Purged:
    """Deletes everything in the lineage but what is pinned; raises StoreError."""
    deleted = 0
    for _ in range(ROUNDS):
        deleted += len(store.discard_abandoned(lambda _key: False, older_seconds=0.0))
        found = store.list("")
        kept = pinned(found)
        doomed = [key for key in found if not _stays(key, kept)]
        for group in in_order(doomed):
            for_each(group, store.delete)
        deleted += len(doomed)
        if not doomed:
            return Purged(deleted, tuple(sorted(kept)), left=0)
    kept = pinned(found := store.list(""))
    left = [key for key in found if not _stays(key, kept)]
    return Purged(deleted, tuple(sorted(kept)), left=len(left))


def pinned(found: Iterable[str]) -> frozenset[str]:
    """The checkpoints that have both a pin and a manifest."""
    listed = set(found)
    pins = (keys.parse_pin(key) for key in listed)
    return frozenset(pin for pin in pins if pin and keys.commit(pin) in listed)


def in_order(found: Iterable[str]) -> list[list[str]]:
    """The keys in the groups in which they are deleted, one group after the other."""
    listed = sorted(found)
    middle = [key for key in listed if not key.startswith((*_FIRST, *_LAST))]
    first = [[key for key in listed if key.startswith(prefix)] for prefix in _FIRST]
    last = [[key for key in listed if key.startswith(prefix)] for prefix in _LAST]
    return [*first, middle, *last]


def _stays(key: str, kept: frozenset[str]) -> bool:
    return bool(kept) and (key == keys.FORMAT or about(key) in kept)


def about(key: str) -> str | None:
    """The checkpoint that the key is a part of, or a word for; None: of none."""
    if commit := keys.parse_commit(key):
        return str(commit)
    for parse in (keys.parse_data, keys.parse_receipt):
        if place := parse(key):
            return place[0]
    return keys.parse_pin(key) or keys.parse_verified(key) or keys.parse_tombstone(key)
