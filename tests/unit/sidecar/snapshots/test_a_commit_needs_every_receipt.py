"""Receipts become commits: who commits when, what stops it, and what is never committed twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from kit.checkpoints import a_payload, a_receipt, an_id, store_share
from kit.clock import FakeClock, in_fake_time
from kit.committers import a_committer
from kit.sidecar import a_pod
from kit.stores import FaultyStore, failing
from spot_sidecar.config.spot_config import Settings
from spot_sidecar.snapshots.committer import NotCommittedError, SupersededError
from spot_training.checkpoint import claim as claims
from spot_training.checkpoint import keys, records
from spot_training.checkpoint.manifest import Claim, Manifest, Receipt, Verified
from spot_training.checkpoint.store import Store, Unreachable
from spot_training.checkpoint.stores.directory import DirectoryStore


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore.prepare(tmp_path / "store")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    with a_pod(tmp_path / "pod", with_operator=False) as pod:
        return pod.settings()


def shared(store: Store, *, rank: int = 0, ranks: int = 1) -> Receipt:
    payload = a_payload()
    return store_share(store, a_receipt(payload, rank=rank, ranks=ranks), payload)


def commits(store: Store) -> tuple[str, ...]:
    return store.list(keys.COMMITS)


def test_alone_it_commits_at_once_and_looks_at_what_was_stored(
    store: DirectoryStore, settings: Settings
) -> None:
    async def scenario(clock: FakeClock) -> Manifest:
        committer = a_committer(store, settings, clock)
        manifest = await committer.commit(shared(store))
        assert clock.monotonic() == 0
        await committer.verify(manifest)
        return manifest

    manifest = in_fake_time(scenario)
    assert commits(store) == (keys.commit(an_id()),)
    assert records.load(Verified, store.read(keys.verified(manifest.id))).level == "V2"


def test_rank_0_waits_for_the_last_receipt(store: DirectoryStore, settings: Settings) -> None:
    async def scenario(clock: FakeClock) -> None:
        committer = a_committer(store, settings, clock, ranks=2)
        task = asyncio.create_task(committer.commit(shared(store, ranks=2)))
        await clock.sleep(20)
        assert not task.done()
        assert commits(store) == ()
        shared(store, rank=1, ranks=2)
        manifest = await task
        assert len(manifest.objects) == 2
        assert clock.monotonic() < 25

    in_fake_time(scenario)


def test_rank_1_steps_in_after_thirty_seconds(store: DirectoryStore, settings: Settings) -> None:
    async def scenario(clock: FakeClock) -> float:
        shared(store, rank=0, ranks=2)
        committer = a_committer(store, settings, clock, rank=1, ranks=2)
        await committer.commit(shared(store, rank=1, ranks=2))
        return clock.monotonic()

    assert 30 <= in_fake_time(scenario) < 35


def test_rank_1_adopts_what_rank_0_committed(store: DirectoryStore, settings: Settings) -> None:
    async def scenario(clock: FakeClock) -> None:
        mine = shared(store, rank=1, ranks=2)
        theirs = shared(store, rank=0, ranks=2)
        first, other = await asyncio.gather(
            a_committer(store, settings, clock, rank=0, ranks=2).commit(theirs),
            a_committer(store, settings, clock, rank=1, ranks=2).commit(mine),
        )
        assert first == other

    in_fake_time(scenario)
    assert len(commits(store)) == 1


def test_a_receipt_that_never_comes_is_waited_for_ten_minutes(
    store: DirectoryStore, settings: Settings
) -> None:
    async def scenario(clock: FakeClock) -> float:
        committer = a_committer(store, settings, clock, ranks=2)
        with pytest.raises(NotCommittedError, match="1 of 2"):
            await committer.commit(shared(store, ranks=2))
        return clock.monotonic()

    assert 600 <= in_fake_time(scenario) < 620
    assert commits(store) == ()


def test_a_superseded_attempt_commits_nothing(store: DirectoryStore, settings: Settings) -> None:
    later = Claim(attempt=2, rank=0, pod_uid="p", nonce="ffffffff", node="n", at="now")
    claims.claim(store, later)

    async def scenario(clock: FakeClock) -> None:
        with pytest.raises(SupersededError, match="attempt 2"):
            await a_committer(store, settings, clock).commit(shared(store))

    in_fake_time(scenario)
    assert commits(store) == ()


def test_trouble_is_waited_out(store: DirectoryStore, settings: Settings) -> None:
    receipt = shared(store)
    faulty = FaultyStore(store, failing("create", "list", error=Unreachable, times=50))

    async def scenario(clock: FakeClock) -> None:
        await a_committer(faulty, settings, clock).commit(receipt)

    in_fake_time(scenario)
    assert len(commits(store)) == 1


def test_a_receipt_written_before_a_restart_stands(
    store: DirectoryStore, settings: Settings
) -> None:
    before = shared(store)

    async def scenario(clock: FakeClock) -> None:
        committer = a_committer(store, settings, clock)
        again = a_receipt(step=10)
        assert await committer.standing_receipt(before.id) == before
        assert await committer.write_receipt(again) == before

    in_fake_time(scenario)
