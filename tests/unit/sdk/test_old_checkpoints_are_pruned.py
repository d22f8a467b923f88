from pathlib import Path

import pytest
from kit.checkpoints import AT, a_receipt, an_id, commit_checkpoint, store_share
from kit.stores import FaultyStore, failing
from spot_training.checkpoint import keys, records
from spot_training.checkpoint.commit import roll_forward
from spot_training.checkpoint.manifest import Tombstone
from spot_training.checkpoint.retention import discard_orphans, prune
from spot_training.checkpoint.store import Unreachable
from spot_training.checkpoint.stores.directory import DirectoryStore


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore.prepare(tmp_path / "lineage")


def commits(store: DirectoryStore) -> list[int]:
    found = (keys.parse_commit(key) for key in store.list(keys.COMMITS))
    return [parsed.step for parsed in found if parsed]


def test_the_three_newest_stay(store: DirectoryStore) -> None:
    for step in range(1, 6):
        commit_checkpoint(store, step=step)
    assert prune(store) == (an_id(1, 2), an_id(1, 1))
    assert commits(store) == [5, 4, 3]
    assert len(store.list(keys.DATA)) == 3
    assert len(store.list(keys.RECEIPTS)) == 3


def test_a_quarantined_one_counts_for_nothing_and_stays(store: DirectoryStore) -> None:
    for step in range(1, 5):
        commit_checkpoint(store, step=step)
    tombstone = Tombstone(id=an_id(1, 4), kind="content", evidence=(), nodes=(), attempt=1, at=AT)
    store.create(keys.tombstone(an_id(1, 4)), records.dump(tombstone))
    assert prune(store) == ()
    assert commits(store) == [4, 3, 2, 1]


@pytest.mark.parametrize("deleted", range(3))
def test_a_crash_while_pruning_revives_nothing(store: DirectoryStore, deleted: int) -> None:
    for step in range(1, 5):
        commit_checkpoint(store, step=step)
    left = [deleted]

    def fault(method: str, key: str) -> Unreachable | None:
        if method != "delete":
            return None
        left[0] -= 1
        return Unreachable("killed here") if left[0] < 0 else None

    with pytest.raises(Unreachable):
        prune(FaultyStore(store, fault))
    roll_forward(store, committed_at=AT)
    prune(store)
    assert commits(store) == [4, 3, 2]


def test_data_that_was_never_committed_goes_with_its_attempt(store: DirectoryStore) -> None:
    commit_checkpoint(store, attempt=1, step=1)
    orphan = a_receipt(attempt=1, step=2)
    store_share(store, orphan)
    store.delete(keys.receipt(orphan.id, 0))
    assert discard_orphans(store, before=1) == ()
    assert discard_orphans(store, before=2) == (orphan.id,)
    assert store.list(keys.DATA) == (keys.data(an_id(1, 1), 0, 0),)


def test_pruning_that_fails_says_so(store: DirectoryStore) -> None:
    for step in range(1, 5):
        commit_checkpoint(store, step=step)
    with pytest.raises(Unreachable):
        prune(FaultyStore(store, failing("list", error=Unreachable)))
    assert len(commits(store)) == 4
