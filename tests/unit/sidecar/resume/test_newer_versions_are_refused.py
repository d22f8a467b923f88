"""What a newer version wrote stops an older one with the remedy: nothing is lost or passed over."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import spot_training as spot
from kit.attempt_starts import begin
from kit.checkpoints import commit_checkpoint
from kit.trainers import global_randomness
from spot_sidecar.resume.decision import FromCheckpoint, Stop
from spot_training.checkpoint import keys, records, verify
from spot_training.checkpoint.manifest import Format, Manifest, Receipt
from spot_training.checkpoint.stores.directory import DirectoryStore

Newer = Callable[[DirectoryStore, Manifest], None]
KEPT = {name.partition("/")[0] for name in (keys.FORMAT, keys.DATA, keys.RECEIPTS, keys.COMMITS)}
KEPT |= {keys.TOMBSTONES.rstrip("/")}
READER = "upgrade spot-training"


def rewrite(store: DirectoryStore, key: str, kind: type[Any], **changes: Any) -> None:
    document = records.load(kind, store.read(key))
    (store.root / key).write_bytes(records.dump(dataclasses.replace(document, **changes)))


def a_newer_manifest(store: DirectoryStore, manifest: Manifest) -> None:
    rewrite(store, keys.commit(manifest.id), Manifest, schema=2)


def a_manifest_for_newer_readers(store: DirectoryStore, manifest: Manifest) -> None:
    rewrite(store, keys.commit(manifest.id), Manifest, min_reader=2)


def an_unknown_digest(store: DirectoryStore, manifest: Manifest) -> None:
    objects = (dataclasses.replace(manifest.objects[0], algorithm="crc128"),)
    rewrite(store, keys.commit(manifest.id), Manifest, objects=objects)


def newer_receipts_without_a_manifest(store: DirectoryStore, manifest: Manifest) -> None:
    store.delete(keys.commit(manifest.id))
    rewrite(store, keys.receipt(manifest.id, 0), Receipt, schema=2)


def a_newer_lineage(store: DirectoryStore, _: Manifest) -> None:
    rewrite(store, keys.FORMAT, Format, schema=2)


CASES: list[Newer] = [
    a_newer_manifest, a_manifest_for_newer_readers, an_unknown_digest,
    newer_receipts_without_a_manifest, a_newer_lineage,
]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore.prepare(tmp_path / "store")


def two_checkpoints(store: DirectoryStore) -> tuple[Manifest, Manifest]:
    verify.open_lineage(store, created_at="2026-01-01T00:00:00Z")
    older, newest = (commit_checkpoint(store, attempt=1, step=step) for step in (10, 20))
    return older, newest


def content(store: DirectoryStore) -> dict[str, bytes]:
    return {key: store.read(key) for key in store.list("") if key.partition("/")[0] in KEPT}


@pytest.mark.parametrize("newer", CASES, ids=lambda case: case.__name__)
@pytest.mark.parametrize("start_fresh", [False, True])
async def test_the_attempt_stops_and_the_store_stays_as_it_was(
    newer: Newer, start_fresh: bool, store: DirectoryStore, tmp_path: Path
) -> None:
    _, newest = two_checkpoints(store)
    newer(store, newest)
    before = content(store)
    begun = await begin(store, tmp_path / "pod", newest=newest.id, start_fresh=start_fresh)
    assert isinstance(begun.decision, Stop)
    assert begun.decision.word == "NoValidCheckpoint"
    assert READER in begun.decision.reason
    assert begun.attempt_state.problem is not None
    assert READER in begun.attempt_state.problem.message
    assert content(store) == before


@pytest.mark.parametrize("newer", CASES, ids=lambda case: case.__name__)
def test_a_local_run_stops_and_says_the_same(
    newer: Newer, store: DirectoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    _, newest = two_checkpoints(store)
    newer(store, newest)
    before = content(store)
    with global_randomness(), pytest.raises(spot.Stopped, match=READER):
        spot.resume(directory=store.root)
    assert content(store) == before
    assert READER in capsys.readouterr().err


@pytest.mark.parametrize("newer", [a_newer_manifest, an_unknown_digest])
async def test_an_older_one_that_cannot_be_read_harms_nobody(
    newer: Newer, store: DirectoryStore, tmp_path: Path
) -> None:
    older, newest = two_checkpoints(store)
    newer(store, older)
    begun = await begin(store, tmp_path / "pod", newest=newest.id)
    assert isinstance(begun.decision, FromCheckpoint)
    assert begun.decision.manifest.id == newest.id


async def test_receipts_older_than_a_commit_are_left_to_their_own_version(
    store: DirectoryStore, tmp_path: Path
) -> None:
    older, newest = two_checkpoints(store)
    newer_receipts_without_a_manifest(store, older)
    begun = await begin(store, tmp_path / "pod", newest=newest.id)
    assert isinstance(begun.decision, FromCheckpoint)
    assert begun.decision.manifest.id == newest.id


def test_a_snapshot_laid_out_by_a_newer_sdk_is_refused_with_the_remedy(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with global_randomness():
        monkeypatch.setattr("spot_training.snapshots.SCHEMA", 2)
        run = spot.resume(directory=store.root)
        run.step()
        assert run.save()
        assert run._ticket is not None
        assert run._ticket.wait(10)
        run._backend.close()
        monkeypatch.setattr("spot_training.snapshots.SCHEMA", 1)
        with pytest.raises(spot.Refused, match=READER):
            spot.resume(directory=store.root)
    assert store.list(keys.TOMBSTONES) == ()
