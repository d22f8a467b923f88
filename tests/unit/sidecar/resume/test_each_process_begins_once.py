"""After the decision: what processes are told, what they say of it, and second starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.attempt_starts import an_attempt_start, begin, origin_of
from kit.checkpoints import commit_checkpoint
from spot_sidecar.resume.attempt_start import Loaded
from spot_sidecar.resume.decision import FromCheckpoint, Stop
from spot_training.checkpoint import verify
from spot_training.checkpoint.manifest import Manifest
from spot_training.checkpoint.stores.directory import DirectoryStore


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore.prepare(tmp_path / "store")


@pytest.fixture
def newest(store: DirectoryStore) -> Manifest:
    verify.open_lineage(store, created_at="2026-01-01T00:00:00Z")
    return commit_checkpoint(store, step=20)


def loaded(step: int = 20, *, differs: tuple[str, ...] = ()) -> Loaded:
    return Loaded(0, step, not differs, differs, 0.1)


async def test_the_restored_file_goes_when_it_was_loaded(
    store: DirectoryStore, newest: Manifest, tmp_path: Path
) -> None:
    begun = await begin(store, tmp_path / "pod")
    assert isinstance(begun.decision, FromCheckpoint)
    (file,) = begun.decision.files
    assert file.path.exists()
    before = begun.attempt_state.resumed
    assert before is None
    begun.attempt_start.loaded(loaded())
    assert not file.path.exists()
    after = begun.attempt_state.resumed
    assert after is not None
    assert after.origin == begun.decision.origin
    assert begun.attempt_start.parent == origin_of(newest.id)


async def test_a_sidecar_killed_just_after_the_start_tells_it_all_the_same(
    store: DirectoryStore, newest: Manifest, tmp_path: Path
) -> None:
    """Its picture was not written yet; the start itself was."""
    before = await begin(store, tmp_path / "pod")
    before.attempt_start.loaded(loaded())
    after = await begin(store, tmp_path / "pod")
    assert after.attempt_state.resumed is not None
    assert after.attempt_state.resumed.decision == "checkpoint"
    assert after.attempt_state.resumed.origin == origin_of(newest.id)


async def test_state_that_differs_after_loading_is_a_problem_and_no_beginning(
    store: DirectoryStore, newest: Manifest, tmp_path: Path
) -> None:
    begun = await begin(store, tmp_path / "pod")
    begun.attempt_start.loaded(loaded(differs=("w", "m")))
    assert begun.attempt_state.problem is not None
    assert begun.attempt_state.problem.kind == "CheckpointCorrupt"
    assert "w, m" in begun.attempt_state.problem.message
    assert not begun.attempt_start.begun
    assert begun.attempt_state.resumed is None


async def test_a_second_start_waits_and_is_refused(
    store: DirectoryStore, newest: Manifest, tmp_path: Path
) -> None:
    begun = await begin(store, tmp_path / "pod")
    assert isinstance(await begun.attempt_start.answer(0, 1), FromCheckpoint)
    assert isinstance(await begun.attempt_start.answer(0, 1), FromCheckpoint)
    begun.attempt_start.loaded(loaded())
    assert await begun.attempt_start.answer(0, 20) is None
    refused = await begun.attempt_start.answer(0, 120)
    assert isinstance(refused, Stop)
    assert refused.word == "Resurrected"


HERE, ELSEWHERE = "boot-1/pid:[4026532001]/700", "boot-1/pid:[4026532001]/900"


async def test_a_process_that_the_container_itself_starts_again_is_refused_at_once(
    store: DirectoryStore, newest: Manifest, tmp_path: Path
) -> None:
    """A shell's loop, or torchrun with restarts: the next attempt is the operator's to begin."""
    begun = await begin(store, tmp_path / "pod")
    assert isinstance(await begun.attempt_start.answer(0, 1, HERE), FromCheckpoint)
    begun.attempt_start.loaded(loaded())
    refused = await begun.attempt_start.answer(0, 20, HERE)
    assert isinstance(refused, Stop)
    assert refused.word == "StartedAgain"
    assert "max-restarts" in refused.reason


async def test_a_restarted_sidecar_knows_the_container_of_a_process(
    store: DirectoryStore, newest: Manifest, tmp_path: Path
) -> None:
    begun = await begin(store, tmp_path / "pod")
    await begun.attempt_start.answer(0, 1, HERE)
    begun.attempt_start.loaded(loaded())
    parts, _, _ = an_attempt_start(store, tmp_path / "pod", attempt=9)
    refused = await parts.attempt_start.answer(0, 20, HERE)
    assert isinstance(refused, Stop)
    assert refused.word == "StartedAgain"


@pytest.mark.parametrize(("first", "second"), [(HERE, ELSEWHERE), ("", HERE), (HERE, ""), ("", "")])
async def test_a_container_that_was_run_again_or_is_not_known_is_the_platforms(
    first: str, second: str, store: DirectoryStore, newest: Manifest, tmp_path: Path
) -> None:
    begun = await begin(store, tmp_path / "pod")
    await begun.attempt_start.answer(0, 1, first)
    begun.attempt_start.loaded(loaded())
    assert await begun.attempt_start.answer(0, 20, second) is None
    refused = await begun.attempt_start.answer(0, 120, second)
    assert isinstance(refused, Stop)
    assert refused.word == "Resurrected"


async def test_a_restarted_sidecar_knows_what_the_trainer_continues(
    store: DirectoryStore, newest: Manifest, tmp_path: Path
) -> None:
    begun = await begin(store, tmp_path / "pod")
    assert begun.attempt_start.parent == origin_of(newest.id)
    parts, attempt_state, _ = an_attempt_start(store, tmp_path / "pod", attempt=9)
    parts.attempt_start.loaded(loaded())
    assert parts.attempt_start.begun
    assert parts.attempt_start.parent == origin_of(newest.id)
    assert attempt_state.resumed is not None
    assert attempt_state.resumed.origin is not None
    assert attempt_state.resumed.origin.id == newest.id


async def test_a_pod_that_goes_before_anything_began_turns_its_process_away(
    store: DirectoryStore, tmp_path: Path
) -> None:
    parts, attempt_state, _ = an_attempt_start(store, tmp_path / "pod", attempt=9)
    assert await parts.attempt_start.answer(0, 0.01) is None
    parts.attempt_start.turn_away("the pod is being deleted")
    answer = await parts.attempt_start.answer(0, 5)
    assert isinstance(answer, Stop)
    assert attempt_state.word is None


async def test_a_pod_that_has_begun_turns_nobody_away(
    store: DirectoryStore, newest: Manifest, tmp_path: Path
) -> None:
    begun = await begin(store, tmp_path / "pod")
    begun.attempt_start.turn_away("the pod is being deleted")
    assert begun.attempt_start.decision == begun.decision
