"""`purge`: everything below a lineage goes, in an order that a crash may interrupt anywhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.checkpoints import AT, a_receipt, an_id, commit_checkpoint, store_share
from kit.stores import FaultyStore
from spot_training.checkpoint import commit, keys, records, selection, verify
from spot_training.checkpoint.manifest import Claim, Expired, Marker, Pin, Tombstone, Verified
from spot_training.checkpoint.purge import Purged, in_order, purge
from spot_training.checkpoint.store import StoreError, Unreachable
from spot_training.checkpoint.stores.directory import DirectoryStore

STEPS = (10, 20, 30)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A lineage with something under every prefix."""
    store = DirectoryStore.prepare(tmp_path / "lineage")
    verify.open_lineage(store, created_at=AT)
    for attempt in (1, 2):
        claim = Claim(attempt=attempt, rank=0, pod_uid="u", nonce="0123abcd", node="n", at=AT)
        store.create(keys.claim(attempt, 0), records.dump(claim))
    for step in STEPS:
        commit_checkpoint(store, step=step)
    store_share(store, a_receipt(attempt=2, step=40))  # its pod died before the commit
    bad = Tombstone(
        id=an_id(1, 10), kind="content", evidence=("x",), nodes=("n",), attempt=2, at=AT
    )
    store.create(keys.tombstone(an_id(1, 10)), records.dump(bad))
    store.create(keys.verified(an_id(1, 20)), records.dump(Verified(id="x", level="V2", at=AT)))
    gone = Expired(id=an_id(1, 20), attempt=2, why="old", at=AT)
    store.create(keys.expired(an_id(1, 20)), records.dump(gone))
    for key in (
        keys.choice(2, 0),
        keys.post(2, 0, 0),
        keys.evidence(an_id(1, 10), 2, 0, 0),
        f"{keys.INHERITED}{keys.tombstone(an_id(7, 1))}",
        "probe/1",
        "notes-of-somebody.txt",
    ):
        store.create(key, b"{}")
    marker = Marker(attempt=2, id=an_id(1, 30), step=30, at=AT)
    store.create(keys.marker(2), records.dump(marker))
    return store


def pin(store: DirectoryStore, checkpoint: str) -> None:
    word = Pin(id=checkpoint, by="ada", why="the paper", at=AT)
    store.create(keys.pin(checkpoint), records.dump(word))


def test_everything_goes(store: DirectoryStore) -> None:
    count = len(store.list(""))
    assert purge(store) == Purged(count, (), left=0)
    assert store.list("") == ()
    assert purge(store) == Purged(0, (), left=0)


def test_what_killed_writers_left_unfinished_goes_too(store: DirectoryStore) -> None:
    drafts = store.root / ".tmp"
    (drafts / f"{keys.data(an_id(2, 50), 0, 0).replace('/', '~')}.abc").write_bytes(b"half")
    purge(store)
    assert list(drafts.iterdir()) == []


def test_a_pinned_checkpoint_stays_whole(store: DirectoryStore) -> None:
    kept = an_id(1, 20)
    pin(store, kept)
    pin(store, an_id(1, 99))  # of a checkpoint that is no more
    purged = purge(store)
    assert (purged.kept, purged.left) == ((kept,), 0)
    assert isinstance(verify.verdict(store, kept, node="any"), selection.Good)
    left = store.list("")
    assert keys.FORMAT in left
    assert keys.pin(kept) in left
    assert keys.expired(kept) not in left
    assert all(kept in key or key == keys.FORMAT for key in left)


def test_a_pinned_one_that_is_quarantined_stays_quarantined(store: DirectoryStore) -> None:
    pin(store, an_id(1, 10))
    purge(store)
    assert store.list(keys.TOMBSTONES) == (keys.tombstone(an_id(1, 10)),)


def crashing_after(count: int) -> Callable[[str, str], StoreError | None]:
    """The process dies at its so-many-th deletion."""
    left = [count]

    def fault(method: str, _key: str) -> StoreError | None:
        if method != "delete":
            return None
        left[0] -= 1
        return Unreachable("killed") if left[0] < 0 else None

    return fault


def test_wherever_it_is_interrupted_no_checkpoint_looks_whole_and_is_not(
    store: DirectoryStore, tmp_path: Path
) -> None:
    kept = an_id(1, 30)
    pin(store, kept)
    bodies = {key: store.read(key) for key in store.list("")}
    for count in range(0, len(bodies) + 1, 4):
        copy = DirectoryStore.prepare(tmp_path / f"copy-{count}")
        for key, body in bodies.items():
            copy.create(key, body)
        interrupted = FaultyStore(copy, crashing_after(count))
        with contextlib.suppress(Unreachable):
            purge(interrupted)
        expect_no_half_checkpoint(copy)
        assert purge(copy).kept == (kept,)
        assert set(copy.list("")) == {key for key in bodies if kept in key} | {keys.FORMAT}


def expect_no_half_checkpoint(store: DirectoryStore) -> None:
    commit.roll_forward(store, committed_at=AT)
    for key in store.list(keys.COMMITS):
        checkpoint = str(keys.parse_commit(key))
        assert isinstance(verify.verdict(store, checkpoint, node="any"), selection.Good)


def test_the_order_is_what_it_says(store: DirectoryStore) -> None:
    first = [group[0].split("/")[0] for group in in_order(store.list("")) if group]
    assert first[:3] == ["ready", "commits", "data"]
    assert first[-3:] == ["complete", "claim", keys.FORMAT]


def test_a_writer_that_does_not_stop_is_not_followed_for_ever(store: DirectoryStore) -> None:
    class Haunted(FaultyStore):
        def delete(self, key: str) -> None:
            super().delete(key)
            self.inner.create(keys.claim(3, 0), b"{}")

    purged = purge(Haunted(store))
    assert purged.left == 1
