"""Which unfinished uploads may be removed: those that nobody can be working on."""

import asyncio
import os
from pathlib import Path

import pytest
from kit.clock import FakeClock, in_fake_time
from kit.sidecar import a_config
from kit.stores import FaultyStore, failing
from spot_sidecar.cleanup.abandoned_uploads import EVERY_SECONDS, clear_leftovers, spared
from spot_sidecar.config.spot_config import Config
from spot_sidecar.lineage.access import Lineage
from spot_sidecar.observability.metrics import Metrics
from spot_sidecar.state.attempt_state import AttemptState
from spot_training.checkpoint import keys
from spot_training.checkpoint.store import Denied, Unreachable
from spot_training.checkpoint.stores.directory import DirectoryStore


@pytest.mark.parametrize(
    ("attempt", "rank", "kept"),
    [(2, 0, False), (2, 5, False), (3, 1, False), (3, 0, True), (3, 2, True), (4, 1, True)],
)
def test_only_ones_own_and_those_of_ended_attempts_go(attempt: int, rank: int, kept: bool) -> None:
    key = keys.data(keys.checkpoint_id(attempt, 7, "0123abcd"), rank, 0)
    assert spared(3, 1)(key) is kept


def test_old_drafts_of_documents_go() -> None:
    assert not spared(3, 1)("claim/00000003/00000.json")


def test_those_of_ended_attempts_make_room_at_once(tmp_path: Path) -> None:
    drafts = tmp_path / ".tmp"
    drafts.mkdir()
    for attempt, rank in ((2, 0), (2, 5), (3, 0), (3, 1), (4, 1)):
        key = keys.data(keys.checkpoint_id(attempt, 7, "0123abcd"), rank, 0)
        (drafts / f"{key.replace('/', '~')}.0000").write_bytes(b"half")
    (drafts / "claim~00000002~00000.json.0000").write_bytes(b"half")

    async def scenario(clock: FakeClock) -> None:
        lineage = Lineage(
            lambda: DirectoryStore(tmp_path), AttemptState(clock, 3, clock.now()), Metrics()
        )
        config = Config.model_validate(a_config(attempt=3))
        task = asyncio.create_task(clear_leftovers(lineage, clock, config))
        await clock.sleep(1.0)
        task.cancel()

    in_fake_time(scenario)
    left = sorted(path.name[:20] for path in drafts.iterdir())
    assert left == ["claim~00000002~00000", *["data~a00000003-s0000"] * 2, "data~a00000004-s0000"]


def test_a_store_that_lets_nobody_remove_them_is_no_problem_of_the_job(tmp_path: Path) -> None:
    inner = DirectoryStore.prepare(tmp_path)
    store = FaultyStore(inner, failing("discard_abandoned", error=Denied, times=99))

    async def scenario(clock: FakeClock) -> None:
        attempt_state = AttemptState(clock, 3, clock.now())
        lineage = Lineage(lambda: store, attempt_state, Metrics())
        config = Config.model_validate(a_config(attempt=3))
        task = asyncio.create_task(clear_leftovers(lineage, clock, config))
        await clock.sleep(3 * EVERY_SECONDS)
        assert attempt_state.problem is None
        assert not task.done()
        task.cancel()

    in_fake_time(scenario)
    assert len(store.calls) >= 3


def test_they_go_at_the_start_and_every_hour_whatever_went_wrong_before(tmp_path: Path) -> None:
    inner = DirectoryStore.prepare(tmp_path)
    store = FaultyStore(inner, failing("discard_abandoned", error=Unreachable, times=1))
    draft = tmp_path / ".tmp" / "data~old.0000"
    draft.parent.mkdir()
    draft.write_bytes(b"half")
    os.utime(draft, (0, 0))

    async def scenario(clock: FakeClock) -> None:
        lineage = Lineage(lambda: store, AttemptState(clock, 3, clock.now()), Metrics())
        config = Config.model_validate(a_config(attempt=3))
        task = asyncio.create_task(clear_leftovers(lineage, clock, config))
        await clock.sleep(EVERY_SECONDS / 2)
        assert draft.exists()
        await clock.sleep(EVERY_SECONDS)
        assert not draft.exists()
        task.cancel()

    in_fake_time(scenario)
