"""A gang's beginning: rank 0 chooses, all verify, nobody starts before all have."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from kit.attempt_starts import Begun, begin
from kit.checkpoints import commit_checkpoint
from kit.stores import FaultyStore, failing
from spot_sidecar.resume.decision import Fresh, FromCheckpoint, Stop
from spot_training.checkpoint import keys, verify
from spot_training.checkpoint.manifest import Manifest
from spot_training.checkpoint.store import Corrupt, Store
from spot_training.checkpoint.stores.directory import DirectoryStore

RANKS = 3


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    store = DirectoryStore.prepare(tmp_path / "store")
    verify.open_lineage(store, created_at="2026-01-01T00:00:00Z")
    return store


def with_bad_memory(store: Store) -> Store:
    """The store as a node sees it that reads nothing right."""
    return FaultyStore(store, failing("download", error=Corrupt))


async def gang(
    store: DirectoryStore,
    folder: Path,
    newest: Manifest | None,
    *,
    attempt: int = 9,
    bad_rank: int | None = None,
    nodes: Sequence[str] = ("node-0", "node-1", "node-2"),
    start_fresh: bool = False,
) -> list[Begun]:
    """What came of every rank; the node of `bad_rank` has bad memory."""
    begun = await asyncio.gather(
        *(
            begin(
                with_bad_memory(store) if rank == bad_rank else store,
                folder / f"rank-{rank}-of-{attempt}",
                attempt=attempt,
                newest=newest.id if newest else None,
                node=nodes[rank],
                rank=rank,
                ranks=RANKS,
                start_fresh=start_fresh,
            )
            for rank in reversed(range(RANKS))
        )
    )
    return list(reversed(begun))


def expect_only_to_say_bad_node(begun: list[Begun], bad_rank: int) -> None:
    """The rank there says it; the others wait for that, and then say what yields to it."""
    for rank, one in enumerate(begun):
        assert isinstance(one.decision, Stop)
        assert one.decision.word == ("BadNode" if rank == bad_rank else "StartFailed")
        assert one.attempt_state.problem is None or rank == bad_rank


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


@pytest.mark.parametrize(("count", "start_fresh"), [(1, True), (3, False)])
@pytest.mark.parametrize("bad_rank", range(RANKS))
async def test_one_node_with_bad_memory_loses_no_work(
    bad_rank: int, count: int, start_fresh: bool, store: DirectoryStore, tmp_path: Path
) -> None:
    *_, newest = [commit_checkpoint(store, step=10 * n, ranks=RANKS) for n in range(1, count + 1)]
    begun = await gang(store, tmp_path, newest, bad_rank=bad_rank, start_fresh=start_fresh)
    expect_only_to_say_bad_node(begun, bad_rank)
    assert f"node-{bad_rank}" in begun[0].decision.to_json()["reason"]
    assert len(store.list(keys.choices(9))) == min(count, 2)
    others = ["node-0", "node-1", "node-2"]
    others[bad_rank] = "node-3"
    again = await gang(store, tmp_path, newest, attempt=10, nodes=others, start_fresh=start_fresh)
    assert chosen(again) == {newest.id}
    assert store.list(keys.TOMBSTONES) == ()


async def test_what_several_nodes_see_damaged_is_passed_over_in_the_same_attempt(
    store: DirectoryStore, tmp_path: Path
) -> None:
    before = commit_checkpoint(store, step=10, ranks=RANKS)
    newest = commit_checkpoint(store, step=20, ranks=RANKS)
    for item in newest.objects:
        (store.root / item.key).write_bytes(bytes(item.size))
    begun = await gang(store, tmp_path, newest)
    assert chosen(begun) == {before.id}
    assert store.list(keys.TOMBSTONES) == (keys.tombstone(newest.id),)


async def test_a_restarted_rank_says_again_that_its_node_is_bad(
    store: DirectoryStore, tmp_path: Path
) -> None:
    *_, newest = [commit_checkpoint(store, step=step, ranks=RANKS) for step in (10, 20, 30)]
    await gang(store, tmp_path, newest, bad_rank=1)
    again = await gang(store, tmp_path, newest)
    expect_only_to_say_bad_node(again, 1)
    assert len(store.list(keys.choices(9))) == 2


async def test_a_restarted_rank_says_so_although_it_verified_the_last_choice(
    store: DirectoryStore, tmp_path: Path
) -> None:
    before, newest = [commit_checkpoint(store, step=step, ranks=RANKS) for step in (10, 20)]
    for manifest, rank in ((newest, 1), (before, 2)):
        (item,) = manifest.objects_of(rank)
        (store.root / item.key).write_bytes(bytes(item.size))
    for _ in range(2):
        expect_only_to_say_bad_node(await gang(store, tmp_path, newest), 1)


async def test_a_node_that_read_the_newest_wrongly_once_does_not_condemn_it(
    store: DirectoryStore, tmp_path: Path
) -> None:
    """It verified there in the next attempt: its earlier word is no reason to bury it."""
    newest = commit_checkpoint(store, step=20, ranks=RANKS)
    await gang(store, tmp_path, newest, bad_rank=1)
    again = await gang(store, tmp_path, newest, attempt=10)
    assert chosen(again) == {newest.id}
    assert store.list(keys.TOMBSTONES) == ()


async def test_a_new_gang_begins_from_zero_together(store: DirectoryStore, tmp_path: Path) -> None:
    begun = await gang(store, tmp_path, None)
    assert all(isinstance(one.decision, Fresh) for one in begun)
    assert len(store.list(keys.claims(9))) == RANKS


async def test_a_rank_that_never_posts_ends_the_attempt(
    store: DirectoryStore, tmp_path: Path
) -> None:
    newest = commit_checkpoint(store, step=20, ranks=2)
    begun = await begin(store, tmp_path / "rank-0", newest=newest.id, ranks=2)
    assert isinstance(begun.decision, Stop)
    assert begun.decision.word == "StartFailed"
    assert "[1]" in begun.decision.reason


async def test_a_rank_without_a_choice_ends_the_attempt(
    store: DirectoryStore, tmp_path: Path
) -> None:
    begun = await begin(store, tmp_path / "rank-1", rank=1, ranks=2)
    assert isinstance(begun.decision, Stop)
    assert begun.decision.word == "StartFailed"
