"""When the sidecar lets checkpoints go, what it tells, and what never troubles it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from kit.checkpoints import a_claim, a_receipt, an_id, commit_checkpoint, store_share
from kit.clock import FakeClock, in_fake_time
from kit.committers import a_committer
from kit.sidecar import a_pod
from kit.stores import FaultyStore, failing, make_older
from spot_sidecar.cleanup.retention import EVERY_SECONDS, ORPHAN_SECONDS, REFUSED_SECONDS, Retention
from spot_sidecar.config.spot_config import Settings
from spot_sidecar.observability.metrics import Metrics
from spot_sidecar.operator_link.grant import Grant, GrantWatcher
from spot_sidecar.snapshots.committer import Committer
from spot_training.checkpoint import keys, records
from spot_training.checkpoint.claim import claim
from spot_training.checkpoint.manifest import Pin
from spot_training.checkpoint.retention import DELAY
from spot_training.checkpoint.store import Denied, Store, Unreachable
from spot_training.checkpoint.stores.directory import DirectoryStore

LOOK = 1.0
"""Seconds that a pass takes at most here: it needs none of the fake time."""


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore.prepare(tmp_path / "store")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    with a_pod(tmp_path / "pod", with_operator=False) as pod:
        return pod.settings()


@dataclass(slots=True)
class Running:
    """A sidecar's part in retention, at work."""

    committer: Committer
    metrics: Metrics
    ending: list[bool] = field(default_factory=lambda: [False])

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def notes(self) -> list[str]:
        return [event.reason for event in self.committer.attempt_state.events]


@asynccontextmanager
async def retention(
    store: Store,
    settings: Settings,
    clock: FakeClock,
    *,
    attempt: int = 1,
    rank: int = 0,
    suspects: Collection[str] = (),
) -> AsyncIterator[Running]:
    committer = a_committer(store, settings, clock, attempt=attempt, rank=rank, ranks=rank + 1)
    grants = GrantWatcher(attempt, start_fresh=False)
    grants.grant = Grant(attempt, suspects=tuple(suspects))
    running = Running(committer, Metrics())
    part = Retention(committer, grants, running.metrics, ending=lambda: running.ending[0])
    task = asyncio.create_task(part.run())
    await clock.sleep(LOOK)
    try:
        yield running
    finally:
        if task.done():
            task.result()
        task.cancel()


def age_expiries(store: DirectoryStore, seconds: float = DELAY) -> None:
    for key in store.list(keys.EXPIRED):
        make_older(store.root / key, seconds)


def steps(store: DirectoryStore) -> list[int]:
    found = (keys.parse_commit(key) for key in store.list(keys.COMMITS))
    return sorted(parsed.step for parsed in found if parsed)


def test_a_pass_follows_each_checkpoint_that_verified(
    store: DirectoryStore, settings: Settings
) -> None:
    async def scenario(clock: FakeClock) -> None:
        async with retention(store, settings, clock) as running:
            for step in range(1, 6):
                await running.committer.verify(commit_checkpoint(store, step=step))
                await clock.sleep(settings.config.keep.pause + LOOK)
            assert {keys.parse_expired(key) for key in store.list(keys.EXPIRED)} == {
                an_id(1, 1), an_id(1, 2),
            }  # fmt: skip
            assert running.counted("spot_checkpoints_expired_total") == 2
            assert running.counted("spot_checkpoints_kept", reason="newest") == 1
            assert running.counted("spot_checkpoints_kept", reason="verified") == 2

    in_fake_time(scenario)


def test_what_was_given_up_goes_an_hour_later_also_where_nothing_is_committed(
    store: DirectoryStore, settings: Settings
) -> None:
    for step in range(1, 6):
        commit_checkpoint(store, step=step)

    async def scenario(clock: FakeClock) -> None:
        async with retention(store, settings, clock) as running:
            assert running.counted("spot_checkpoints_expiring") == 2
            await clock.sleep(EVERY_SECONDS + settings.config.keep.pause)
            assert steps(store) == [1, 2, 3, 4, 5]
            age_expiries(store)
            await clock.sleep(EVERY_SECONDS + settings.config.keep.pause)
            assert steps(store) == [3, 4, 5]
            assert running.counted("spot_checkpoints_deleted_total") == 2
            assert running.counted("spot_checkpoint_freed_bytes_total") > 0

    in_fake_time(scenario)


def test_only_rank_0_has_anything_to_do(store: DirectoryStore, settings: Settings) -> None:
    for step in range(1, 6):
        commit_checkpoint(store, step=step)

    async def scenario(clock: FakeClock) -> None:
        async with retention(store, settings, clock, rank=1):
            assert store.list(keys.EXPIRED) == ()

    in_fake_time(scenario)


def test_it_leaves_the_store_to_the_last_save(store: DirectoryStore, settings: Settings) -> None:
    async def scenario(clock: FakeClock) -> None:
        async with retention(store, settings, clock) as running:
            running.ending[0] = True
            for step in range(1, 6):
                await running.committer.verify(commit_checkpoint(store, step=step))
            await clock.sleep(2 * EVERY_SECONDS)
            assert store.list(keys.EXPIRED) == ()
            running.ending[0] = False
            await clock.sleep(EVERY_SECONDS + settings.config.keep.pause)
            assert len(store.list(keys.EXPIRED)) == 2

    in_fake_time(scenario)


def test_a_superseded_attempt_does_nothing_any_more(
    store: DirectoryStore, settings: Settings
) -> None:
    for step in range(1, 6):
        commit_checkpoint(store, step=step)

    async def scenario(clock: FakeClock) -> None:
        async with retention(store, settings, clock):
            age_expiries(store)
            claim(store, a_claim(2))
            await clock.sleep(3 * EVERY_SECONDS)
            assert steps(store) == [1, 2, 3, 4, 5]

    in_fake_time(scenario)


def test_trouble_is_left_for_the_next_pass(store: DirectoryStore, settings: Settings) -> None:
    for step in range(1, 6):
        commit_checkpoint(store, step=step)
    troubled = FaultyStore(store, failing("written", error=Unreachable, times=1))

    async def scenario(clock: FakeClock) -> None:
        async with retention(troubled, settings, clock):
            assert store.list(keys.EXPIRED) == ()
            await clock.sleep(EVERY_SECONDS + settings.config.keep.pause)
            assert len(store.list(keys.EXPIRED)) == 2

    in_fake_time(scenario)


def test_a_store_that_lets_nobody_delete_is_told_of_once_and_is_no_problem(
    store: DirectoryStore, settings: Settings
) -> None:
    for step in range(1, 6):
        commit_checkpoint(store, step=step)
    strict = FaultyStore(store, failing("delete", error=Denied, times=10**6))

    async def scenario(clock: FakeClock) -> None:
        async with retention(strict, settings, clock) as running:
            age_expiries(store)
            await clock.sleep(EVERY_SECONDS + settings.config.keep.pause)
            tried = strict.calls.count(("delete", keys.receipt(an_id(1, 2), 0)))
            for _ in range(3):
                await clock.sleep(REFUSED_SECONDS + EVERY_SECONDS)
            assert strict.calls.count(("delete", keys.receipt(an_id(1, 2), 0))) > tried == 1
            assert running.notes() == ["RetentionRefused"]
            assert running.committer.attempt_state.problem is None
            assert steps(store) == [1, 2, 3, 4, 5]

    in_fake_time(scenario)


def test_a_suspect_is_pinned_and_stays_when_the_operator_has_forgotten_it(
    store: DirectoryStore, settings: Settings
) -> None:
    suspect, gone = an_id(1, 1), an_id(1, 99)
    for step in range(1, 6):
        commit_checkpoint(store, step=step)

    async def scenario(clock: FakeClock) -> None:
        async with retention(store, settings, clock, suspects=[suspect, gone]):
            pin = records.load(Pin, store.read(keys.pin(suspect)))
            assert (pin.by, "suspect" in pin.why) == ("spot-sidecar", True)
        claim(store, a_claim(2))
        async with retention(store, settings, clock, attempt=2):
            assert {keys.parse_expired(key) for key in store.list(keys.EXPIRED)} == {an_id(1, 2)}
        assert store.list(keys.PINS) == (keys.pin(suspect),)

    in_fake_time(scenario)


def test_what_ended_attempts_never_committed_goes_after_a_day(
    store: DirectoryStore, settings: Settings
) -> None:
    left = store_share(store, a_receipt(attempt=1, step=7, ranks=2))
    mine = store_share(store, a_receipt(attempt=2, step=8, ranks=2))
    for key in store.list(""):
        make_older(store.root / key, ORPHAN_SECONDS)
    young = store_share(store, a_receipt(attempt=1, step=9, ranks=2))

    async def scenario(clock: FakeClock) -> None:
        async with retention(store, settings, clock, attempt=2):
            found = {place[0] for key in store.list(keys.DATA) if (place := keys.parse_data(key))}
            assert found == {mine.id, young.id}
            assert store.list(keys.receipts(left.id)) == ()

    in_fake_time(scenario)
