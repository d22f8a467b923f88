"""complete(): the marker is durable, and the operator knows, or 30 seconds have passed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from kit.clock import EPOCH, FakeClock, in_fake_time
from kit.sidecar import a_pod
from kit.stores import FaultyStore, failing
from spot_sidecar.config.spot_config import Settings
from spot_sidecar.lineage.access import Lineage
from spot_sidecar.observability.metrics import Metrics
from spot_sidecar.operator_link.reporter import Reporter
from spot_sidecar.snapshots.completion import Completion
from spot_sidecar.state.attempt_state import AttemptState, CommitSeen, Origin
from spot_training.checkpoint import keys, records
from spot_training.checkpoint.manifest import Marker
from spot_training.checkpoint.store import Store, Unreachable
from spot_training.checkpoint.stores.directory import DirectoryStore

FINAL = CommitSeen(Origin(3, 400, "a00000003-s000000000400-0123abcd"), 1, EPOCH, 1, 0, "final")


def a_completion(
    store: Store, settings: Settings, clock: FakeClock
) -> tuple[Completion, Reporter, AttemptState]:
    attempt_state = AttemptState(clock, 3, clock.now())
    lineage = Lineage(lambda: store, attempt_state, Metrics())
    reporter = Reporter(attempt_state, settings.config, settings.pod, settings.paths.token, print)
    return Completion(lineage, attempt_state, reporter), reporter, attempt_state


def a_setting(folder: Path) -> Settings:
    with a_pod(folder, attempt=3, with_operator=False) as pod:
        return pod.settings()


def test_without_an_operator_it_takes_thirty_seconds_and_the_marker_stands(tmp_path: Path) -> None:
    store = DirectoryStore.prepare(tmp_path / "store")
    settings = a_setting(tmp_path / "pod")

    async def scenario(clock: FakeClock) -> tuple[float, int, object]:
        completion, _, attempt_state = a_completion(store, settings, clock)
        asked = 0
        while (done := await completion.complete(FINAL, 20)) is None:
            asked += 1
        assert attempt_state.word is not None
        assert attempt_state.word.word == "Finished"
        return clock.monotonic(), asked, done.acknowledged

    took, asked, acknowledged = in_fake_time(scenario)
    assert 30 <= took < 31
    assert asked == 1
    assert acknowledged is False
    marker = records.load(Marker, store.read(keys.marker(3)))
    assert (marker.attempt, marker.id, marker.step) == (3, FINAL.origin.id, 400)


def test_a_silent_store_is_waited_for_before_anything_is_said(tmp_path: Path) -> None:
    faulty = FaultyStore(
        DirectoryStore.prepare(tmp_path / "store"),
        failing("create", error=Unreachable, times=5),
    )
    settings = a_setting(tmp_path / "pod")

    async def scenario(clock: FakeClock) -> None:
        completion, _, attempt_state = a_completion(faulty, settings, clock)
        assert await completion.complete(FINAL, 5) is None
        before = attempt_state.word
        assert before is None
        while faulty.list(keys.MARKERS) == ():
            assert attempt_state.word is before
            await clock.sleep(0.01)
        await completion.wait_until_idle(60)
        assert attempt_state.word is not None

    in_fake_time(scenario)


def test_however_often_it_is_asked_it_completes_once(tmp_path: Path) -> None:
    store = FaultyStore(DirectoryStore.prepare(tmp_path / "store"))
    settings = a_setting(tmp_path / "pod")

    async def scenario(clock: FakeClock) -> None:
        completion, _, _ = a_completion(store, settings, clock)
        await asyncio.gather(*(completion.complete(FINAL, 40) for _ in range(3)))

    in_fake_time(scenario)
    assert store.calls.count(("create", keys.marker(3))) == 1
