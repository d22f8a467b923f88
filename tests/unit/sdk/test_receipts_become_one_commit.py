from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kit.checkpoints import AT, a_receipt, an_id, commit_checkpoint, store_share
from kit.stores import FaultyStore, failing
from spot_training.checkpoint import keys, records
from spot_training.checkpoint.commit import (
    Disagreement,
    Incomplete,
    build_manifest,
    commit,
    read_receipts,
    roll_forward,
)
from spot_training.checkpoint.manifest import Manifest, Tombstone
from spot_training.checkpoint.store import Unreachable
from spot_training.checkpoint.stores.directory import DirectoryStore
from spot_training.checkpoint.verify import expect_sound

LATER = "2026-01-02T03:05:00.000000Z"


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore.prepare(tmp_path / "lineage")


def test_the_manifest_names_every_rank(store: DirectoryStore) -> None:
    receipts = [a_receipt(rank=rank, ranks=3, parent=an_id(1, 5)) for rank in (2, 0, 1)]
    manifest = build_manifest(receipts, committed_at=AT)
    expect_sound(manifest, an_id())
    assert [item.key for item in manifest.objects] == [keys.data(an_id(), r, 0) for r in range(3)]
    assert manifest.cost.bytes == sum(item.size for item in manifest.objects)
    assert manifest.cost.stall_seconds == pytest.approx(0.03)
    assert (manifest.parent, manifest.samples, manifest.ranks) == (an_id(1, 5), 320, 3)
    assert manifest.objects_of(1) == (manifest.objects[1],)


EXACT, FIRST, SECOND = {"exact": True}, {"exact": False, "why": "1"}, {"exact": False, "why": "2"}


@pytest.mark.parametrize(("told", "found"), [
    ((None, None), None),
    ((EXACT, EXACT), EXACT),
    ((EXACT, SECOND), SECOND),
    ((None, SECOND), SECOND),
    ((FIRST, SECOND), FIRST),
    (({"seed": 3}, EXACT), {"seed": 3}),
])  # fmt: skip
def test_a_checkpoint_is_as_exact_as_its_least_exact_rank(told: Any, found: Any) -> None:
    receipts = [
        replace(a_receipt(rank=rank, ranks=2), dataset=one) for rank, one in enumerate(told)
    ]
    assert build_manifest(receipts, committed_at=AT).dataset == found


def test_a_missing_rank_commits_nothing(store: DirectoryStore) -> None:
    store_share(store, a_receipt(rank=1, ranks=2))
    with pytest.raises(Incomplete, match="1 of 2"):
        commit(store, read_receipts(store, an_id()), committed_at=AT)
    assert roll_forward(store, committed_at=AT) == ()
    assert store.list(keys.COMMITS) == ()


@pytest.mark.parametrize("field", ["step", "ranks", "parent", "job_uid", "epoch"])
def test_ranks_that_disagree_commit_nothing(field: str) -> None:
    value = {"parent": "other", "job_uid": "other"}.get(field, 99)
    receipts = [
        a_receipt(ranks=2),
        replace(a_receipt(rank=1, ranks=2), **{field: value}),  # type: ignore[arg-type]
    ]
    with pytest.raises(Disagreement, match="rank 1"):
        build_manifest(receipts, committed_at=AT)


def test_the_second_committer_adopts_the_first_commit(store: DirectoryStore) -> None:
    first = commit_checkpoint(store)
    receipts = read_receipts(store, first.id)
    assert commit(store, receipts, committed_at=LATER) == first


def test_a_commit_of_other_receipts_is_not_adopted(store: DirectoryStore) -> None:
    commit_checkpoint(store)
    other = replace(a_receipt(), upload_seconds=99.0)
    with pytest.raises(Disagreement, match="other receipts"):
        commit(store, [other], committed_at=LATER)


def test_a_pod_that_died_before_the_commit_is_rolled_forward(store: DirectoryStore) -> None:
    for rank in range(2):
        store_share(store, a_receipt(rank=rank, ranks=2))
    (manifest,) = roll_forward(store, committed_at=LATER)
    assert records.load(Manifest, store.read(keys.commit(an_id()))) == manifest
    assert roll_forward(store, committed_at=LATER) == ()


def test_a_damaged_receipt_is_left_alone(store: DirectoryStore) -> None:
    store_share(store, a_receipt())
    path = store.root / keys.receipt(an_id(), 0)
    path.write_bytes(path.read_bytes().replace(b"periodic", b"Periodic"))
    assert roll_forward(store, committed_at=AT) == ()


def test_what_is_quarantined_is_not_rolled_forward(store: DirectoryStore) -> None:
    store_share(store, a_receipt())
    tombstone = Tombstone(id=an_id(), kind="content", evidence=(), nodes=(), attempt=1, at=AT)
    store.create(keys.tombstone(an_id()), records.dump(tombstone))
    assert roll_forward(store, committed_at=AT) == ()


def test_trouble_on_the_way_is_not_taken_for_an_incomplete_set(store: DirectoryStore) -> None:
    store_share(store, a_receipt())
    faulty = FaultyStore(store, failing("read", error=Unreachable, below=keys.RECEIPTS))
    with pytest.raises(Unreachable):
        roll_forward(faulty, committed_at=AT)
