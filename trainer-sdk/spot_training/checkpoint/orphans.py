"""Removes what ended attempts left in a lineage: data without a manifest, records nobody reads.

What a person may ask about later stays: checkpoints, tombstones, pins, evidence, markers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from spot_training.checkpoint import keys
from spot_training.checkpoint.commit import is_complete
from spot_training.checkpoint.parallel import for_each
from spot_training.checkpoint.records import UnsupportedSchema
from spot_training.checkpoint.store import Store

REMEMBERED: Final = 20
"""Attempts whose claims, choices and posts stay, as many as a job's status shows."""


def discard_orphans(
    store: Store,
    *,
    before: int,
    older_seconds: float = 0.0,
    going_on: Callable[[], bool] = lambda: True,
) -> tuple[str, ...]:
    """Deletes data that earlier attempts (below `before`) left without a commit; returns its ids.

    Only what is as old as asked for, by the store's clock, and not complete: call it after
    `commit.roll_forward`. Receipts go before the data that they promise. It ends early when
    `going_on` says so.
    """
    data, receipts = store.written(keys.DATA), store.written(keys.RECEIPTS)
    ages = [(key, data.age(key)) for key in data.at] + [(k, receipts.age(k)) for k in receipts.at]
    young = {_owner(key) for key, age in ages if age < older_seconds}
    committed = {str(id_) for key in store.list(keys.COMMITS) if (id_ := keys.parse_commit(key))}
    buried = {keys.parse_tombstone(key) for key in store.list(keys.TOMBSTONES)}
    found = {owner for key, _ in ages if (owner := _owner(key))} - young - committed - buried
    ended = {id_ for id_ in found if keys.CheckpointId.parse(id_).attempt < before}
    discarded = []
    for checkpoint in sorted(ended):
        if _may_be_committed(store, checkpoint):
            continue
        if not going_on():
            break
        for left in (keys.receipts(checkpoint), keys.data_of(checkpoint)):
            for_each(store.list(left), store.delete)
        discarded.append(checkpoint)
    return tuple(discarded)


def forget_attempts(store: Store, *, before: int, older_seconds: float) -> int:
    """Deletes claims, choices and posts of attempts well before `before`; returns how many.

    They are read by their own attempt alone, which has ended, and finds a higher claim if it ever
    wakes: the newest `REMEMBERED` attempts keep theirs.
    """
    old = []
    for prefix in (keys.CLAIMS, keys.CHOICES, keys.POSTS):
        written = store.written(prefix)
        ages = [(key, written.age(key), _attempt(key)) for key in written.at]
        old += [
            key
            for key, age, attempt in ages
            if attempt is not None and attempt < before - REMEMBERED and age >= older_seconds
        ]
    for_each(old, store.delete)
    return len(old)


def _may_be_committed(store: Store, checkpoint: str) -> bool:
    try:
        return is_complete(store, checkpoint)
    except UnsupportedSchema:
        return True  # by the version that wrote it


def _owner(key: str) -> str | None:
    place = keys.parse_data(key) or keys.parse_receipt(key)
    return place[0] if place else None


def _attempt(key: str) -> int | None:
    place = keys.parse_claim(key) or keys.parse_choice(key) or keys.parse_post(key)
    return place[0] if place else None
