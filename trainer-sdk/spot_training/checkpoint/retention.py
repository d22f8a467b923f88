"""Deletes old checkpoints of a lineage that only this process uses (the local backend).

The newest checkpoints stay; quarantined ones count for nothing and stay as evidence. Receipts go
first (a complete set without a manifest would be rolled forward again), then the manifest, which
ends the checkpoint, then its data: a crash in between leaves only unused files.
"""

from __future__ import annotations

from spot_training.checkpoint import keys
from spot_training.checkpoint.selection import newest_first
from spot_training.checkpoint.store import Store

KEPT = 3


def discard_orphans(store: Store, *, before: int) -> tuple[str, ...]:
    """Deletes data that earlier attempts (below `before`) left without a commit; returns its ids.

    Call it after `commit.roll_forward`: what is still uncommitted then can never be.
    """
    committed = {
        str(found) for key in store.list(keys.COMMITS) if (found := keys.parse_commit(key))
    }
    buried = {keys.parse_tombstone(key) for key in store.list(keys.TOMBSTONES)}
    data = [(key, place[0]) for key in store.list(keys.DATA) if (place := keys.parse_data(key))]
    orphans = {
        checkpoint
        for _, checkpoint in data
        if checkpoint not in committed | buried
        and keys.CheckpointId.parse(checkpoint).attempt < before
        and not store.list(keys.receipts(checkpoint))
    }
    for key, checkpoint in data:
        if checkpoint in orphans:
            store.delete(key)
    return tuple(sorted(orphans))


def prune(store: Store, keep: int = KEPT) -> tuple[str, ...]:
    """Deletes every committed checkpoint but the `keep` newest; returns the deleted ids."""
    buried = {keys.parse_tombstone(key) for key in store.list(keys.TOMBSTONES)}
    commits = (keys.parse_commit(key) for key in store.list(keys.COMMITS))
    alive = newest_first(str(found) for found in commits if found and str(found) not in buried)
    for checkpoint in alive[keep:]:
        for key in store.list(keys.receipts(checkpoint)):
            store.delete(key)
        store.delete(keys.commit(checkpoint))
        for key in store.list(keys.data_of(checkpoint)):
            store.delete(key)
    return tuple(alive[keep:])
