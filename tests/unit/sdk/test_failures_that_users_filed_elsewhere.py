"""What lost other people's checkpoints, once more here; most such cases have files of their own."""

from __future__ import annotations

import mmap
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from kit.checkpoints import (
    AT,
    a_payload,
    a_receipt,
    an_id,
    commit_checkpoint,
    digests_of,
    store_share,
)
from kit.stores import FaultyStore
from spot_training.checkpoint import commit, keys, verify
from spot_training.checkpoint.digest import digest_payload
from spot_training.checkpoint.orphans import discard_orphans
from spot_training.checkpoint.selection import Facts, Good, Resume, select
from spot_training.checkpoint.store import StoreError, Unreachable
from spot_training.checkpoint.stores import files
from spot_training.checkpoint.stores.directory import DirectoryStore

DATA = memoryview(os.urandom(50_000))
DIGESTS = digest_payload(DATA, part_size=20_000)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    found = DirectoryStore.prepare(tmp_path / "lineage")
    verify.open_lineage(found, created_at=AT)
    return found


def resumed(store: DirectoryStore) -> str | None:
    """What the next attempt resumes from, after it has rolled forward what it can."""
    commit.roll_forward(store, committed_at=AT)
    facts = verify.look(store, Facts(node="n1", commits=()))
    decision = select(facts, lambda id_: verify.verdict(store, id_, node="n1"))
    return decision.id if isinstance(decision, Resume) else None


@pytest.mark.parametrize("call", ["create", "upload"])
def test_bytes_are_on_the_disk_before_their_name_is(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A rename without fsync leaves empty files after a power cut (tdrussell/diffusion-pipe#159,
    facebookresearch/metaseq#53)."""
    happened: list[str] = []

    def noting(name: str, real: Any) -> Any:
        def note(*arguments: Any) -> Any:
            happened.append(name)
            return real(*arguments)

        return note

    monkeypatch.setattr(os, "fsync", noting("fsync", os.fsync))
    monkeypatch.setattr(os, "link", noting("name", os.link))
    monkeypatch.setattr(Path, "rename", noting("name", Path.rename))
    monkeypatch.setattr(files, "sync_folder", noting("folder", lambda _path: None))
    (store.root / "x").mkdir()
    (store.root / ".tmp").mkdir(exist_ok=True)
    if call == "create":
        assert store.create("x/a", bytes(DATA))
    else:
        store.upload("x/a", DATA, DIGESTS)
    assert happened == ["fsync", "name", "folder"]


def test_an_object_is_saved_over_the_file_that_it_was_mapped_from(store: DirectoryStore) -> None:
    """Writing into the file itself would save what it destroys (safetensors/safetensors#762,
    bghira/SimpleTuner#2714)."""
    store.upload("data/x", DATA, DIGESTS)
    with (store.root / "data/x").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    view = memoryview(mapped)
    store.upload("data/x", view, DIGESTS)
    assert view == DATA, "whoever mapped it before still sees what it was"
    into = memoryview(bytearray(len(DATA)))
    store.download("data/x", into, DIGESTS)
    assert into == DATA
    view.release()
    mapped.close()


def the_calls_of_a_commit(store: FaultyStore) -> None:
    payload = a_payload()
    receipts = [
        store_share(store, a_receipt(payload, step=20, rank=rank, ranks=2), payload)
        for rank in range(2)
    ]
    commit.commit(store, receipts, committed_at=AT)


def test_a_manifest_comes_after_all_that_it_points_to(store: DirectoryStore) -> None:
    """A pointer that is there first leads to nothing (mosaicml/composer#3376)."""
    watched = FaultyStore(store)
    the_calls_of_a_commit(watched)
    writes = [key for method, key in watched.calls if method in ("upload", "create")]
    assert [key.partition("/")[0] for key in writes] == [
        "data",
        "ready",
        "data",
        "ready",
        "commits",
    ]


@pytest.mark.parametrize("calls", range(6))
@pytest.mark.parametrize("done", [True, False], ids=["done and unheard", "not done"])
def test_whichever_call_was_the_last_the_newest_whole_one_is_resumed(
    store: DirectoryStore, calls: int, done: bool
) -> None:
    """Dead amid a save, of a grace period that was too short (petuum/adaptdl#70, pytorch/
    torchtitan#315, awslabs/awsome-distributed-ai#190)."""
    before = commit_checkpoint(store, step=10)

    class Dying(FaultyStore):
        def _asked(self, method: str, key: str) -> None:
            super()._asked(method, key)
            if done and len(self.calls) == calls + 1 and method == "create":
                self.inner.create(key, self.body)
            if len(self.calls) > calls:
                raise Unreachable("it is dead")

        def create(self, key: str, body: bytes) -> bool:
            self.body = body
            return super().create(key, body)

    dying = Dying(store)
    try:
        the_calls_of_a_commit(dying)
    except StoreError:
        assert calls < 5
    writes_done = calls + (1 if done and calls in (1, 3, 4) else 0)
    whole = writes_done >= 4  # both receipts are there: it is rolled forward
    assert resumed(store) == (an_id(1, 20) if whole else before.id)


@pytest.mark.parametrize("first", ["commits", "data", "format.json"])
def test_a_lineage_that_was_copied_is_one(
    store: DirectoryStore, tmp_path: Path, first: str
) -> None:
    """Files get other times and come in any order; nothing is taken for a left-over and deleted
    (google/orbax#394), and until all is there nothing is taken for whole."""
    newest = commit_checkpoint(store, step=20, ranks=2)
    whole = store.list("")
    copy = DirectoryStore.prepare(tmp_path / "copy")
    for key in sorted(whole, key=lambda key: not key.startswith(first)):
        if copy.list(keys.COMMITS):
            verdict = verify.verdict(copy, newest.id, node="n1")
            assert not isinstance(verdict, Good) or set(copy.list(keys.DATA)) == set(
                store.list(keys.DATA)
            )
        (copy.root / key).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(store.root / key, copy.root / key)
    assert resumed(copy) == newest.id
    discard_orphans(copy, before=99)
    copy.discard_abandoned(lambda _key: False, older_seconds=-10)
    assert copy.list("") == whole


def test_a_gang_of_another_size_sees_no_rank_of_an_earlier_one(store: DirectoryStore) -> None:
    """4, then 2, then 4 ranks that die amid a save: the ranks that came back must not read what
    they wrote in the first run (mosaicml/composer#2409)."""
    commit_checkpoint(store, attempt=1, step=10, ranks=4)
    small = commit_checkpoint(store, attempt=2, step=5, ranks=2)
    for rank in (0, 1, 2):
        store_share(store, a_receipt(attempt=3, step=30, rank=rank, ranks=4))
    assert resumed(store) == small.id
    manifest = verify.read_manifest(store, small.id)
    assert [manifest.objects_of(rank) for rank in (2, 3)] == [(), ()]
    assert {item.key for item in manifest.objects} == {keys.data(small.id, r, 0) for r in (0, 1)}


def test_two_jobs_of_one_name_share_nothing_but_the_volume(tmp_path: Path) -> None:
    """Two pipelines in one bucket overwrote each other (feldera/feldera#6205)."""
    stores = [
        DirectoryStore.prepare(
            tmp_path / keys.lineage_prefix("runs", "team", "digits", uid), within=tmp_path
        )
        for uid in ("uid-1", "uid-10")
    ]
    payload = a_payload()
    for number, store in enumerate(stores):
        verify.open_lineage(store, created_at=AT)
        commit_checkpoint(store, step=10 + number, fill=number)
        store.upload("data/same", payload, digests_of(payload))
    stores[1].delete("data/same")
    assert [resumed(store) for store in stores] == [an_id(1, 10), an_id(1, 11)]
    assert stores[0].stat("data/same").size == len(payload)
