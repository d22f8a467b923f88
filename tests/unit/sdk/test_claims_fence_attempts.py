from dataclasses import replace
from pathlib import Path

import pytest
from kit.checkpoints import AT
from spot_training.checkpoint.claim import (
    Claimed,
    Taken,
    claim,
    highest_attempt,
    read_claim,
    superseded_by,
)
from spot_training.checkpoint.manifest import Claim
from spot_training.checkpoint.store import NotFound
from spot_training.checkpoint.stores.directory import DirectoryStore

MINE = Claim(attempt=2, rank=0, pod_uid="pod-a", nonce="0123abcd", node="n1", at=AT)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore.prepare(tmp_path / "lineage")


def test_a_claim_stands_for_its_pod(store: DirectoryStore) -> None:
    assert claim(store, MINE) == Claimed(MINE)
    assert read_claim(store, 2, 0) == MINE


def test_claiming_again_after_a_restart_finds_the_claim(store: DirectoryStore) -> None:
    claim(store, MINE)
    later = replace(MINE, at="2026-01-02T04:00:00.000000Z")
    assert claim(store, later) == Claimed(MINE)


@pytest.mark.parametrize("changes", [{"nonce": "ffff0000"}, {"pod_uid": "pod-b"}])
def test_a_pod_without_the_nonce_finds_it_taken(
    store: DirectoryStore, changes: dict[str, str]
) -> None:
    claim(store, MINE)
    assert claim(store, replace(MINE, **changes)) == Taken(MINE)  # type: ignore[arg-type]
    assert read_claim(store, 2, 0) == MINE


def test_ranks_claim_beside_each_other(store: DirectoryStore) -> None:
    claim(store, MINE)
    other = replace(MINE, rank=1, nonce="11111111")
    assert claim(store, other) == Claimed(other)


def test_a_higher_claim_supersedes(store: DirectoryStore) -> None:
    assert highest_attempt(store) == 0
    claim(store, MINE)
    assert superseded_by(store, 2) is None
    claim(store, replace(MINE, attempt=11))
    assert superseded_by(store, 2) == 11
    assert superseded_by(store, 11) is None


def test_an_absent_claim_is_not_found(store: DirectoryStore) -> None:
    with pytest.raises(NotFound):
        read_claim(store, 9, 0)
