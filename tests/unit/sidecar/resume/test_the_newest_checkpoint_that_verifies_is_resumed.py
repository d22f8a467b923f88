"""A table of corruptions, and the right choice for each; nothing that does not verify is loaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from kit.attempt_starts import Begun, begin
from kit.checkpoints import commit_checkpoint
from kit.stores import FaultyStore, failing
from spot_sidecar.resume.decision import Fresh, FromCheckpoint, Stop
from spot_training.checkpoint import keys, records, verify
from spot_training.checkpoint.digest import algorithm
from spot_training.checkpoint.manifest import Manifest, Tombstone
from spot_training.checkpoint.store import Denied, Unreachable
from spot_training.checkpoint.stores.directory import DirectoryStore

Damage = Callable[[DirectoryStore, Manifest], None]


def data_of(store: DirectoryStore, manifest: Manifest) -> Path:
    return store.root / manifest.objects[0].key


def flip_a_bit(store: DirectoryStore, manifest: Manifest) -> None:
    path = data_of(store, manifest)
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)


def truncate(store: DirectoryStore, manifest: Manifest) -> None:
    path = data_of(store, manifest)
    path.write_bytes(path.read_bytes()[:-1])


def zero(store: DirectoryStore, manifest: Manifest) -> None:
    path = data_of(store, manifest)
    path.write_bytes(bytes(path.stat().st_size))


def lose_the_data(store: DirectoryStore, manifest: Manifest) -> None:
    data_of(store, manifest).unlink()


def take_the_data_of_another(store: DirectoryStore, manifest: Manifest) -> None:
    other = commit_checkpoint(store, attempt=1, step=1, fill=77)
    data_of(store, manifest).write_bytes(data_of(store, other).read_bytes())


def garble_the_manifest(store: DirectoryStore, manifest: Manifest) -> None:
    (store.root / keys.commit(manifest.id)).write_bytes(b'{"schema":1')


def edit_the_manifest(store: DirectoryStore, manifest: Manifest) -> None:
    path = store.root / keys.commit(manifest.id)
    path.write_bytes(path.read_bytes().replace(b'"samples":', b'"samples":1'))


def swap_the_manifest(store: DirectoryStore, manifest: Manifest) -> None:
    other = keys.commit(commit_checkpoint(store, attempt=1, step=2).id)
    (store.root / keys.commit(manifest.id)).write_bytes((store.root / other).read_bytes())


def leave_a_pipe_for_the_data(store: DirectoryStore, manifest: Manifest) -> None:
    path = data_of(store, manifest)
    path.unlink()
    os.mkfifo(path)


def leave_a_link_for_the_manifest(store: DirectoryStore, manifest: Manifest) -> None:
    path = store.root / keys.commit(manifest.id)
    path.symlink_to(path.rename(store.root.parent / "elsewhere"))


@dataclass(frozen=True)
class Case:
    damage: Damage
    kind: str


CASES = [
    Case(flip_a_bit, "content"),
    Case(truncate, "server"),
    Case(zero, "content"),
    Case(lose_the_data, "missing"),
    Case(take_the_data_of_another, "content"),
    Case(garble_the_manifest, "server"),
    Case(edit_the_manifest, "server"),
    Case(swap_the_manifest, "server"),
    Case(leave_a_pipe_for_the_data, "server"),
    Case(leave_a_link_for_the_manifest, "server"),
]


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore.prepare(tmp_path / "store")


def lineage_with(store: DirectoryStore, *steps: int) -> list[Manifest]:
    verify.open_lineage(store, created_at="2026-01-01T00:00:00Z")
    return [commit_checkpoint(store, attempt=1, step=step) for step in steps]


def expect_resumed(begun: Begun, manifest: Manifest) -> None:
    assert isinstance(begun.decision, FromCheckpoint)
    assert begun.decision.manifest.id == manifest.id
    (file,) = begun.decision.files
    item = manifest.objects[0]
    assert len(file.path.read_bytes()) == item.size
    assert algorithm(item.algorithm).of(file.path.read_bytes()) == item.digest


async def test_the_newest_one_is_resumed_when_nothing_is_wrong(
    store: DirectoryStore, tmp_path: Path
) -> None:
    *_, newest = lineage_with(store, 10, 20, 30)
    begun = await begin(store, tmp_path / "pod", newest=newest.id)
    expect_resumed(begun, newest)
    assert store.list(keys.TOMBSTONES) == ()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.damage.__name__)
async def test_a_damaged_newest_one_is_quarantined_and_the_one_before_taken(
    case: Case, store: DirectoryStore, tmp_path: Path
) -> None:
    _, before, newest = lineage_with(store, 10, 20, 30)
    case.damage(store, newest)
    begun = await begin(store, tmp_path / "pod", newest=newest.id)
    expect_resumed(begun, before)
    assert store.list(keys.TOMBSTONES) == (keys.tombstone(newest.id),)
    assert newest.id in begun.attempt_state.quarantined
    tombstone = records.load(Tombstone, store.read(keys.tombstone(newest.id)))
    assert tombstone.kind == case.kind


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.damage.__name__)
async def test_the_only_one_damaged_never_means_from_zero(
    case: Case, store: DirectoryStore, tmp_path: Path
) -> None:
    (only,) = lineage_with(store, 30)
    case.damage(store, only)
    begun = await begin(store, tmp_path / "pod", newest=only.id)
    if case.damage in {take_the_data_of_another, swap_the_manifest}:
        assert isinstance(begun.decision, FromCheckpoint)  # the other one is older, and whole
        return
    assert isinstance(begun.decision, Stop)
    if case.kind == "content":  # this node's memory may be bad: another one is asked
        assert begun.decision.word == "BadNode"
        assert store.list(keys.TOMBSTONES) == ()
        begun = await begin(store, tmp_path / "pod-b", attempt=10, newest=only.id, node="node-b")
    assert isinstance(begun.decision, Stop)
    assert begun.decision.word == "NoValidCheckpoint"


async def test_two_bad_ones_condemn_the_node_and_nothing_is_quarantined(
    store: DirectoryStore, tmp_path: Path
) -> None:
    _, second, third = lineage_with(store, 10, 20, 30)
    flip_a_bit(store, second)
    flip_a_bit(store, third)
    begun = await begin(store, tmp_path / "pod", newest=third.id)
    assert isinstance(begun.decision, Stop)
    assert begun.decision.word == "BadNode"
    assert store.list(keys.TOMBSTONES) == ()
    assert begun.attempt_state.word is not None
    assert begun.attempt_state.word.word == "BadNode"


async def test_another_node_confirms_what_the_first_one_saw(
    store: DirectoryStore, tmp_path: Path
) -> None:
    first, second, third = lineage_with(store, 10, 20, 30)
    flip_a_bit(store, second)
    flip_a_bit(store, third)
    await begin(store, tmp_path / "pod-a", attempt=8, newest=third.id)
    begun = await begin(store, tmp_path / "pod-b", attempt=9, newest=third.id, node="node-b")
    expect_resumed(begun, first)
    assert set(store.list(keys.TOMBSTONES)) == {
        keys.tombstone(second.id),
        keys.tombstone(third.id),
    }


async def test_suspects_are_passed_over_but_kept(store: DirectoryStore, tmp_path: Path) -> None:
    _, before, newest = lineage_with(store, 10, 20, 30)
    begun = await begin(store, tmp_path / "pod", newest=newest.id, suspects=[newest.id])
    expect_resumed(begun, before)
    assert store.list(keys.TOMBSTONES) == ()


async def test_receipts_without_a_manifest_are_rolled_forward(
    store: DirectoryStore, tmp_path: Path
) -> None:
    _, newest = lineage_with(store, 10, 20)
    store.delete(keys.commit(newest.id))
    begun = await begin(store, tmp_path / "pod")
    expect_resumed(begun, newest)


async def test_a_virgin_lineage_begins_from_zero(store: DirectoryStore, tmp_path: Path) -> None:
    begun = await begin(store, tmp_path / "pod")
    assert isinstance(begun.decision, Fresh)


async def test_an_emptied_store_stops_the_job_and_is_not_written_to(
    store: DirectoryStore, tmp_path: Path
) -> None:
    (gone,) = lineage_with(DirectoryStore.prepare(tmp_path / "elsewhere"), 10)
    begun = await begin(store, tmp_path / "pod", newest=gone.id)
    assert isinstance(begun.decision, Stop)
    assert begun.decision.word == "NoValidCheckpoint"
    assert "emptied" in begun.decision.reason
    assert store.list("") == ()


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("start_fresh", [True, False])
async def test_a_damaged_format_record_stops_the_job_with_the_remedy(
    recorded: bool, start_fresh: bool, store: DirectoryStore, tmp_path: Path
) -> None:
    (newest,) = lineage_with(store, 10)
    path = store.root / keys.FORMAT
    body = path.read_bytes()
    path.write_bytes(body[:-1])
    begun = await begin(
        store, tmp_path / "pod", newest=newest.id if recorded else None, start_fresh=start_fresh
    )
    assert isinstance(begun.decision, Stop)
    assert begun.decision.word == "NoValidCheckpoint"
    assert "format.json is damaged" in begun.decision.reason
    assert "put" in begun.decision.reason
    assert store.list(keys.TOMBSTONES) == ()
    path.unlink()
    begun = await begin(store, tmp_path / "pod-b", attempt=10, newest=newest.id)
    assert isinstance(begun.decision, Stop)
    assert "format.json is missing" in begun.decision.reason
    path.write_bytes(body)
    expect_resumed(await begin(store, tmp_path / "pod-c", attempt=11, newest=newest.id), newest)


async def test_start_fresh_begins_from_zero_only_where_nothing_is_valid(
    store: DirectoryStore, tmp_path: Path
) -> None:
    older, newest = lineage_with(store, 10, 20)
    lose_the_data(store, newest)
    begun = await begin(store, tmp_path / "pod", attempt=8, newest=newest.id, start_fresh=True)
    expect_resumed(begun, older)
    lose_the_data(store, older)
    begun = await begin(store, tmp_path / "pod2", attempt=9, newest=newest.id, start_fresh=True)
    assert isinstance(begun.decision, Fresh)


@pytest.mark.parametrize("error", [Unreachable, Denied])
@pytest.mark.parametrize("method", ["list", "read", "stat", "download", "create"])
async def test_trouble_on_the_way_is_waited_out_and_nothing_older_taken(
    error: type[Unreachable], method: str, store: DirectoryStore, tmp_path: Path
) -> None:
    *_, newest = lineage_with(store, 10, 20)
    faulty = FaultyStore(store, failing(method, error=error, times=4))
    begun = await begin(faulty, tmp_path / "pod", newest=newest.id)
    expect_resumed(begun, newest)
    assert store.list(keys.TOMBSTONES) == ()
    assert begun.attempt_state.problem is None


async def test_a_restarted_sidecar_adopts_its_choice(store: DirectoryStore, tmp_path: Path) -> None:
    _, newest = lineage_with(store, 10, 20)
    await begin(store, tmp_path / "pod", attempt=9)
    commit_checkpoint(store, attempt=1, step=30)
    begun = await begin(store, tmp_path / "pod", attempt=9)
    expect_resumed(begun, newest)


@pytest.mark.parametrize("key", [keys.choice, lambda attempt, k: keys.post(attempt, k, 0)])
async def test_a_document_in_anothers_place_decides_nothing(
    key: Callable[[int, int], str], store: DirectoryStore, tmp_path: Path
) -> None:
    lineage_with(store, 10, 20)
    await begin(store, tmp_path / "earlier", attempt=8)
    newest = commit_checkpoint(store, attempt=1, step=30)
    await begin(store, tmp_path / "pod", attempt=9)
    (store.root / key(9, 0)).write_bytes(store.read(key(8, 0)))
    begun = await begin(store, tmp_path / "pod", attempt=9)
    assert isinstance(begun.decision, Stop)
    assert begun.decision.word == "StartFailed"
    expect_resumed(await begin(store, tmp_path / "next", attempt=10), newest)


async def test_evidence_in_anothers_place_testifies_to_nothing(
    store: DirectoryStore, tmp_path: Path
) -> None:
    older, newest = lineage_with(store, 10, 20)
    flip_a_bit(store, newest)
    await begin(store, tmp_path / "pod-a", attempt=8)
    store.delete(keys.tombstone(newest.id))
    told = store.read(keys.evidence(newest.id, 8, 0, 0))
    store.delete(keys.evidence(newest.id, 8, 0, 0))
    store.create(keys.evidence(older.id, 8, 0, 0), told)
    assert verify.read_evidence(store) == ()


async def test_a_pod_run_twice_is_resurrected(store: DirectoryStore, tmp_path: Path) -> None:
    lineage_with(store, 10)
    await begin(store, tmp_path / "first-run", attempt=9)
    begun = await begin(store, tmp_path / "second-run-with-empty-memory", attempt=9)
    assert isinstance(begun.decision, Stop)
    assert begun.decision.word == "Resurrected"


async def test_an_older_attempt_is_superseded_before_it_chooses(
    store: DirectoryStore, tmp_path: Path
) -> None:
    lineage_with(store, 10)
    await begin(store, tmp_path / "newer", attempt=9)
    begun = await begin(store, tmp_path / "older", attempt=8)
    assert isinstance(begun.decision, Stop)
    assert begun.decision.word == "Superseded"
    assert store.list(keys.choices(8)) == ()


async def test_a_checkpoint_larger_than_the_memory_is_said_so(
    store: DirectoryStore, tmp_path: Path
) -> None:
    (newest,) = lineage_with(store, 10)
    begun = await begin(store, tmp_path / "pod", newest=newest.id, staging=8192)
    assert isinstance(begun.decision, Stop)
    assert begun.decision.word == "StartFailed"
    assert begun.attempt_state.problem is not None
    assert begun.attempt_state.problem.kind == "StagingTooSmall"
    assert "sizeLimit" in begun.attempt_state.problem.message
