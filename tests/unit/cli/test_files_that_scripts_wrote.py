"""Checkpoints of `source: Directory`: arbitrary files, whose names the manifest has."""

import dataclasses
from pathlib import Path

import pytest
from kit.checkpoints import AT, a_file_receipt, an_id, damaged
from kit.commands import Shell, flip
from spot_training.checkpoint import keys, records, verify
from spot_training.checkpoint.commit import commit
from spot_training.checkpoint.manifest import Format
from spot_training.checkpoint.stores.directory import DirectoryStore

FILES = {"checkpoint-10/model.bin": b"weights", "checkpoint-10/trainer_state.json": b"{}"}


def written(root: Path, files: dict[str, bytes]) -> DirectoryStore:
    store = DirectoryStore.prepare(root)
    verify.open_lineage(store, created_at=AT)
    receipt = a_file_receipt(files)
    bodies = [files[path] for path in sorted(files)]
    for item, body in zip(receipt.objects, bodies, strict=True):
        store.upload(item.key, memoryview(body), item.digests)
    store.create(keys.receipt(receipt.id, 0), records.dump(receipt))
    commit(store, [receipt], committed_at=AT)
    assert records.load(Format, store.read(keys.FORMAT)).created_at == AT
    return store


@pytest.fixture
def files(tmp_path: Path) -> DirectoryStore:
    return written(tmp_path / "files", FILES)


def test_show_names_them(files: DirectoryStore, shell: Shell) -> None:
    said = shell("checkpoints", "show", files.root, "newest")
    assert said.code == 0
    assert [line.split()[:2] for line in said.lines[-4:]] == [
        ["FILE", "BYTES"],
        ["checkpoint-10/model.bin", "7"],
        ["checkpoint-10/trainer_state.json", "2"],
        ["2", "files"],
    ]
    assert shell("checkpoints", "show", files.root, "newest", "-o", "json").code == 0


def test_export_writes_them_under_their_own_paths(
    files: DirectoryStore, shell: Shell, tmp_path: Path
) -> None:
    said = shell("checkpoints", "export", files.root, "newest", "--to", tmp_path / "out")
    assert said.code == 0
    for path, body in FILES.items():
        target = tmp_path / "out" / path
        assert (target.read_bytes(), target.stat().st_mode & 0o777) == (body, 0o600)
    single = shell("checkpoints", "export", files.root, "newest", "--to", "x.safetensors")
    assert (single.code, "give a directory" in single.err) == (1, True)


def test_a_path_that_leaves_the_directory_is_refused(
    files: DirectoryStore, shell: Shell, tmp_path: Path
) -> None:
    manifest = verify.read_manifest(files, an_id())
    first, second = manifest.objects
    assert first.file is not None
    forged = dataclasses.replace(first, file=dataclasses.replace(first.file, path="../outside"))
    (files.root / keys.commit(an_id())).write_bytes(
        records.dump(damaged(manifest, objects=(forged, second)))
    )
    said = shell("checkpoints", "export", files.root, "a1-s10", "--to", tmp_path / "out")
    assert (said.code, "not a path inside" in said.err) == (1, True)
    assert not (tmp_path / "outside").exists()


def test_verify_names_the_file_that_is_damaged(files: DirectoryStore, shell: Shell) -> None:
    flip(files.root / keys.data_file(an_id(), 0, 1), 0)
    said = shell("checkpoints", "verify", files.root)
    assert said.code == 1
    assert said.lines[-1] == "    the script's file checkpoint-10/trainer_state.json"


def test_two_of_them_are_compared_byte_by_byte(
    files: DirectoryStore, shell: Shell, tmp_path: Path
) -> None:
    same = written(tmp_path / "same", FILES)
    equal = shell("verify", files.root, same.root)
    assert (equal.code, equal.lines[2]) == (0, "2 of 2 items bit-identical")
    other = written(tmp_path / "other", FILES | {"checkpoint-10/model.bin": b"weighty"})
    said = shell("verify", files.root, other.root)
    assert said.code == 1
    assert "  file checkpoint-10/model.bin: 1 of 7 values differ, first at [6]: 115 | 121" in (
        line.split(", largest")[0] for line in said.lines
    )
