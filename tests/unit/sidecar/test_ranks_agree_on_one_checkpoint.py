"""A gang's beginning: rank 0 chooses, all verify, nobody starts before all have."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from kit.beginnings import Begun, begin
from kit.checkpoints import commit_checkpoint
from spot_sidecar.resume.decision import Begin, FromCheckpoint, Halt
from spot_training.checkpoint import keys, verify
from spot_training.checkpoint.manifest import Manifest
from spot_training.checkpoint.stores.directory import DirectoryStore

RANKS = 3


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    store = DirectoryStore.prepare(tmp_path / "store")
    verify.open_lineage(store, created_at="2026-01-01T00:00:00Z")
    return store


async def gang(store: DirectoryStore, folder: Path, newest: Manifest | None) -> list[Begun]:
    return list(
        await asyncio.gather(
            *(
                begin(
                    store,
                    folder / f"rank-{rank}",
                    newest=newest.id if newest else None,
                    node=f"node-{rank}",
                    rank=rank,
                    ranks=RANKS,
                )
                for rank in reversed(range(RANKS))
            )
        )
    )


def chosen(begun: list[Begun]) -> set[str]:
    decisions = [one.decision for one in begun]
    return {one.manifest.id for one in decisions if isinstance(one, FromCheckpoint)}


async def test_all_ranks_resume_from_the_same_one(store: DirectoryStore, tmp_path: Path) -> None:
    newest = commit_checkpoint(store, step=20, ranks=RANKS)
    begun = await gang(store, tmp_path, newest)
    assert chosen(begun) == {newest.id}
    assert all(isinstance(one.decision, FromCheckpoint) for one in begun)
    assert len(store.list(keys.posts(9, 0))) == RANKS


async def test_one_ranks_bad_share_makes_all_take_the_one_before(
    store: DirectoryStore, tmp_path: Path
) -> None:
    before = commit_checkpoint(store, step=10, ranks=RANKS)
    newest = commit_checkpoint(store, step=20, ranks=RANKS)
    (item,) = newest.objects_of(2)
    path = store.root / item.key
    path.write_bytes(bytes(item.size))
    begun = await gang(store, tmp_path, newest)
    assert chosen(begun) == {before.id}
    assert len([one for one in begun if isinstance(one.decision, FromCheckpoint)]) == RANKS
    assert store.list(keys.TOMBSTONES) == (keys.tombstone(newest.id),)


async def test_a_new_gang_begins_from_zero_together(store: DirectoryStore, tmp_path: Path) -> None:
    begun = await gang(store, tmp_path, None)
    assert all(isinstance(one.decision, Begin) for one in begun)
    assert len(store.list(keys.claims(9))) == RANKS


async def test_a_rank_that_never_posts_ends_the_attempt(
    store: DirectoryStore, tmp_path: Path
) -> None:
    newest = commit_checkpoint(store, step=20, ranks=2)
    begun = await begin(store, tmp_path / "rank-0", newest=newest.id, ranks=2)
    assert isinstance(begun.decision, Halt)
    assert begun.decision.word == "StartFailed"
    assert "[1]" in begun.decision.reason


async def test_a_rank_without_a_choice_ends_the_attempt(
    store: DirectoryStore, tmp_path: Path
) -> None:
    begun = await begin(store, tmp_path / "rank-1", rank=1, ranks=2)
    assert isinstance(begun.decision, Halt)
    assert begun.decision.word == "StartFailed"
