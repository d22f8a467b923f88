"""`resumeFrom`: judged like the job's own checkpoints, and nothing is changed where they lie."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from kit.attempt_starts import OTHER, Begun, begin
from kit.checkpoints import AT, commit_checkpoint
from kit.stores import FaultyStore, failing
from spot_sidecar.resume.decision import AlreadyCompleted, Fresh, FromCheckpoint, Stop
from spot_training.checkpoint import keys, records, verify
from spot_training.checkpoint.digest import algorithm
from spot_training.checkpoint.manifest import Choice, Manifest, Marker
from spot_training.checkpoint.store import Corrupt, Store, Unreachable
from spot_training.checkpoint.stores.directory import DirectoryStore


@pytest.fixture
def own(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore.prepare(tmp_path / "own")


@pytest.fixture
def other(tmp_path: Path) -> DirectoryStore:
    """Another job's lineage, which has begun."""
    store = DirectoryStore.prepare(tmp_path / "other")
    verify.open_lineage(store, created_at=AT)
    return store


def commits(store: DirectoryStore, *steps: int) -> list[Manifest]:
    return [commit_checkpoint(store, attempt=7, step=step) for step in steps]


def content(store: DirectoryStore) -> dict[str, bytes]:
    return {key: store.read(key) for key in store.list("")}


def flip_a_bit(store: DirectoryStore, manifest: Manifest) -> None:
    path = store.root / manifest.objects[0].key
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)


def expect_resumed(begun: Begun, manifest: Manifest, lineage: str | None = OTHER) -> None:
    assert isinstance(begun.decision, FromCheckpoint)
    assert (begun.decision.manifest.id, begun.decision.lineage) == (manifest.id, lineage)
    (file,) = begun.decision.files
    item = manifest.objects[0]
    assert algorithm(item.algorithm).of(file.path.read_bytes()) == item.digest


def expect_halted(begun: Begun, word: str, *said: str) -> None:
    assert isinstance(begun.decision, Stop)
    assert begun.decision.word == word
    for part in said:
        assert part in begun.decision.reason


async def test_the_newest_is_taken_and_everything_says_whose_it_is(
    own: DirectoryStore, other: DirectoryStore, tmp_path: Path
) -> None:
    *_, newest = commits(other, 10, 20)
    before = content(other)
    begun = await begin(own, tmp_path / "pod", attempt=1, other=other)
    expect_resumed(begun, newest)
    choice = records.load(Choice, own.read(keys.choice(1, 0)))
    assert (choice.id, choice.lineage) == (newest.id, OTHER)
    parent = begun.attempt_start.parent
    assert parent is not None
    assert (parent.id, parent.lineage) == (newest.id, OTHER)
    assert content(other) == before


async def test_a_chosen_one_is_taken_instead_of_the_newest(
    own: DirectoryStore, other: DirectoryStore, tmp_path: Path
) -> None:
    first, _ = commits(other, 10, 20)
    expect_resumed(await begin(own, tmp_path / "pod", attempt=1, other=other, only=first.id), first)


async def test_a_damaged_newest_one_is_passed_over_and_told_of_in_the_own_lineage(
    own: DirectoryStore, other: DirectoryStore, tmp_path: Path
) -> None:
    _, middle, newest = commits(other, 10, 20, 30)
    flip_a_bit(other, newest)
    before = content(other)
    begun = await begin(own, tmp_path / "pod", attempt=1, other=other)
    expect_resumed(begun, middle)
    assert content(other) == before
    assert own.list(keys.TOMBSTONES) == own.list(keys.EVIDENCE) == ()
    assert own.list(f"{keys.INHERITED}{keys.TOMBSTONES}") == (
        keys.INHERITED + keys.tombstone(newest.id),
    )
    assert OTHER in begun.attempt_state.quarantined[newest.id]
    # The next attempt, still without a commit of its own, does not try it again.
    flip_a_bit(other, newest)
    again = await begin(own, tmp_path / "pod-2", attempt=2, other=other)
    expect_resumed(again, middle)
    assert again.attempt_state.quarantined == {}


async def test_what_was_found_bad_there_says_nothing_about_a_node_once_the_job_commits(
    own: DirectoryStore, other: DirectoryStore, tmp_path: Path
) -> None:
    *_, second, third = commits(other, 10, 20, 30)
    flip_a_bit(other, second)
    flip_a_bit(other, third)
    condemned = await begin(own, tmp_path / "pod", attempt=1, other=other)
    expect_halted(condemned, "BadNode")
    (mine,) = [commit_checkpoint(own, attempt=2, step=5)]
    begun = await begin(own, tmp_path / "pod-2", attempt=3, other=other, newest=mine.id)
    expect_resumed(begun, mine, None)


async def test_a_second_node_confirms_what_the_first_one_saw(
    own: DirectoryStore, other: DirectoryStore, tmp_path: Path
) -> None:
    first, second, third = commits(other, 10, 20, 30)
    flip_a_bit(other, second)
    flip_a_bit(other, third)
    before = content(other)
    expect_halted(await begin(own, tmp_path / "a", attempt=1, other=other), "BadNode")
    begun = await begin(own, tmp_path / "b", attempt=2, other=other, node="node-b")
    expect_resumed(begun, first)
    assert content(other) == before


async def test_a_bad_node_of_a_gang_is_no_reason_to_begin_from_zero(
    own: DirectoryStore, other: DirectoryStore, tmp_path: Path
) -> None:
    newest = commit_checkpoint(other, attempt=7, step=30, ranks=2)
    seen_by: list[Store] = [other, FaultyStore(other, failing("download", error=Corrupt))]
    ranks = [
        begin(
            own, tmp_path / f"rank-{rank}", attempt=1, other=seen, start_fresh=True,
            node=f"node-{rank}", rank=rank, ranks=2,
        )
        for rank, seen in enumerate(seen_by)
    ]  # fmt: skip
    rank_0, rank_1 = await asyncio.gather(*ranks)
    expect_halted(rank_0, "StartFailed", "node-1", newest.id)
    expect_halted(rank_1, "BadNode", "node-1", newest.id)
    assert own.list(keys.INHERITED + keys.TOMBSTONES) == ()


async def test_an_own_commit_ends_it_also_where_the_status_does_not_know_it(
    own: DirectoryStore, other: DirectoryStore, tmp_path: Path
) -> None:
    commits(other, 100)
    verify.open_lineage(own, created_at=AT)
    mine = commit_checkpoint(own, attempt=1, step=5)
    expect_resumed(await begin(own, tmp_path / "pod", attempt=2, other=other), mine, None)


async def test_own_checkpoints_of_which_none_is_valid_lead_to_no_other_lineage(
    own: DirectoryStore, other: DirectoryStore, tmp_path: Path
) -> None:
    commits(other, 100)
    verify.open_lineage(own, created_at=AT)
    mine = commit_checkpoint(own, attempt=1, step=5)
    (own.root / mine.objects[0].key).unlink()
    begun = await begin(own, tmp_path / "pod", attempt=2, other=other, newest=mine.id)
    expect_halted(begun, "NoValidCheckpoint", mine.id)
    # Its tombstone stands now: the lineage is not one without a history.
    again = await begin(own, tmp_path / "pod-2", attempt=3, other=other)
    expect_halted(again, "NoValidCheckpoint")
    fresh = await begin(own, tmp_path / "pod-3", attempt=4, other=other, start_fresh=True)
    assert isinstance(fresh.decision, Fresh)


async def test_an_empty_lineage_is_no_reason_to_begin_from_zero(
    own: DirectoryStore, other: DirectoryStore, tmp_path: Path
) -> None:
    begun = await begin(own, tmp_path / "pod", attempt=1, other=other)
    expect_halted(begun, "NoValidCheckpoint", OTHER, "resumeFrom", "StartFresh")
    fresh = await begin(own, tmp_path / "pod-2", attempt=2, other=other, start_fresh=True)
    assert isinstance(fresh.decision, Fresh)


async def test_a_chosen_one_that_is_not_there_is_named(
    own: DirectoryStore, other: DirectoryStore, tmp_path: Path
) -> None:
    commits(other, 10)
    missing = keys.checkpoint_id(7, 20, "0123abcd")
    begun = await begin(own, tmp_path / "pod", attempt=1, other=other, only=missing)
    expect_halted(begun, "NoValidCheckpoint", missing)


async def test_that_the_other_job_has_completed_does_not_complete_this_one(
    own: DirectoryStore, other: DirectoryStore, tmp_path: Path
) -> None:
    (newest,) = commits(other, 10)
    marker = Marker(attempt=7, id=newest.id, step=10, at=AT)
    other.create(keys.marker(7), records.dump(marker))
    expect_resumed(await begin(own, tmp_path / "pod", attempt=1, other=other), newest)
    own.create(keys.marker(1), records.dump(marker))
    done = await begin(own, tmp_path / "pod-2", attempt=2, other=other)
    assert isinstance(done.decision, AlreadyCompleted)


async def test_trouble_on_the_way_there_is_waited_out(
    own: DirectoryStore, other: DirectoryStore, tmp_path: Path
) -> None:
    (newest,) = commits(other, 10)
    for number, method in enumerate(("list", "read", "stat", "download"), 1):
        faulty = FaultyStore(other, failing(method, error=Unreachable, times=3))
        begun = await begin(own, tmp_path / method, attempt=number, other=faulty)
        expect_resumed(begun, newest)


async def test_what_is_not_committed_there_is_left_to_its_own_job(
    own: DirectoryStore, other: DirectoryStore, tmp_path: Path
) -> None:
    before, uncommitted = commits(other, 10, 20)
    other.delete(keys.commit(uncommitted.id))
    was = content(other)
    expect_resumed(await begin(own, tmp_path / "pod", attempt=1, other=other), before)
    assert content(other) == was


async def test_a_suspect_there_is_passed_over(
    own: DirectoryStore, other: DirectoryStore, tmp_path: Path
) -> None:
    before, newest = commits(other, 10, 20)
    begun = await begin(own, tmp_path / "pod", attempt=3, other=other, suspects=[newest.id])
    expect_resumed(begun, before)


async def test_a_restarted_sidecar_adopts_the_choice(
    own: DirectoryStore, other: DirectoryStore, tmp_path: Path
) -> None:
    (newest,) = commits(other, 10)
    await begin(own, tmp_path / "pod", attempt=1, other=other)
    commits(other, 20)  # the other job lives, and goes on
    expect_resumed(await begin(own, tmp_path / "pod", attempt=1, other=other), newest)
