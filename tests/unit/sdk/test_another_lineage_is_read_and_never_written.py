"""`InheritedLineage`: one store that reads from another lineage and writes into the own one."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.checkpoints import AT, a_payload, an_id, commit_checkpoint, digests_of
from spot_training.checkpoint import keys, verify
from spot_training.checkpoint.inherited import InheritedLineage
from spot_training.checkpoint.manifest import Post
from spot_training.checkpoint.store import NotFound
from spot_training.checkpoint.stores.directory import DirectoryStore

BAD = an_id(1, 10)
FORBIDDEN = (
    keys.FORMAT, keys.claim(1, 0), keys.commit(BAD), keys.data(BAD, 0, 0), keys.receipt(BAD, 0),
    keys.pin(BAD), keys.expired(BAD), keys.verified(BAD), keys.marker(1), "anything",
)  # fmt: skip


@pytest.fixture
def own(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore.prepare(tmp_path / "own")


@pytest.fixture
def other(tmp_path: Path) -> DirectoryStore:
    store = DirectoryStore.prepare(tmp_path / "other")
    verify.open_lineage(store, created_at=AT)
    commit_checkpoint(store, step=10)
    return store


def a_bad_post(node: str, attempt: int) -> Post:
    return Post(
        attempt=attempt,
        k=0,
        rank=0,
        id=BAD,
        verdict="bad",
        node=node,
        at=AT,
        kind="content",
        detail="x",
    )


@pytest.mark.parametrize("key", FORBIDDEN)
def test_nothing_can_be_written_there(key: str, own: DirectoryStore, other: DirectoryStore) -> None:
    view, before = InheritedLineage(own, other), other.list("")
    payload = a_payload()
    with pytest.raises(ValueError, match="another job's lineage"):
        view.create(key, b"{}")
    with pytest.raises(ValueError, match="another job's lineage"):
        view.delete(key)
    with pytest.raises(ValueError, match="another job's lineage"):
        view.upload(key, payload, digests_of(payload))
    assert view.discard_abandoned(lambda _key: False, older_seconds=0) == ()
    assert (own.list(""), other.list("")) == ((), before)


def test_evidence_of_both_is_read_and_ours_lies_apart(
    own: DirectoryStore, other: DirectoryStore
) -> None:
    view = InheritedLineage(own, other)
    verify.write_post(other, a_bad_post("their-node", attempt=7))
    verify.write_post(view, a_bad_post("our-node", attempt=1))
    assert {one.node for one in verify.read_evidence(view)} == {"our-node", "their-node"}
    assert verify.read_evidence(own) == ()
    assert own.list(keys.POSTS) == (keys.post(1, 0, 0),)


def test_a_lineage_that_does_not_exist_seems_empty(own: DirectoryStore) -> None:
    view = InheritedLineage(own, None)
    assert view.list(keys.COMMITS) == view.folders("") == ()
    with pytest.raises(NotFound):
        view.read(keys.FORMAT)
    with pytest.raises(NotFound):
        view.stat(keys.data(BAD, 0, 0))
