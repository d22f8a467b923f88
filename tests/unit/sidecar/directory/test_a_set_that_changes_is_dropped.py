"""Hard links on a real file system: rotation does not matter, a write does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.filesets import write
from spot_sidecar.directory.plain import Plain
from spot_sidecar.directory.sets import FileSet
from spot_sidecar.directory.spool import Held, SetChangedError, Spool, expect_same
from spot_sidecar.directory.tree import MAX_FILES, TooManyFilesError, Tree
from spot_training.checkpoint.content import CutShortError, FileContent, digest_content
from spot_training.checkpoint.digest import Digests

Change = Callable[[Path], object]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write(tmp_path / "data", {"s-1/w": b"weights" * 100, "s-1/empty": b""}, mode=0o600)
    return tmp_path / "data"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def the_set(data: Path) -> FileSet:
    tree = Tree(data)
    (found,) = Plain().sets(tree.files(), tree.open)
    return found


def uploaded_meanwhile(spool: Spool, data: Path, change: Change) -> None:
    """Take the set, read it as an upload does, change something, compare."""
    held = spool.hold(Tree(data), the_set(data))
    digests = {one.path: _digests(one) for one in held}
    change(data)
    for one in held:
        expect_same(one, digests[one.path])


def _digests(held: Held) -> Digests:
    with held.path.open("rb") as stream:
        return digest_content(FileContent(stream.fileno(), held.file.size))


def rewritten_in_place(data: Path) -> None:
    with (data / "s-1/w").open("r+b") as stream:
        stream.write(b"W")


def rewritten_with_its_old_time(data: Path) -> None:
    before = (data / "s-1/w").stat()
    rewritten_in_place(data)
    os.utime(data / "s-1/w", ns=(before.st_atime_ns, before.st_mtime_ns))


def removed(data: Path) -> None:
    (data / "s-1/w").unlink()
    (data / "s-1/empty").unlink()
    (data / "s-1").rmdir()


def replaced(data: Path) -> None:
    (data / "new").write_bytes(b"other")
    (data / "new").replace(data / "s-1/w")


@pytest.mark.parametrize(
    "change", [lambda _: None, removed, replaced, lambda d: (d / "s-2").mkdir()]
)
def test_rotation_does_not_touch_what_is_held(spool: Spool, data: Path, change: Change) -> None:
    uploaded_meanwhile(spool, data, change)


@pytest.mark.parametrize(
    "change",
    [
        rewritten_in_place,
        rewritten_with_its_old_time,
        lambda d: os.truncate(d / "s-1/w", 3),
        lambda d: (d / "s-1/empty").write_bytes(b"x"),
        lambda d: (d / "s-1/w").chmod(0o644),
        lambda d: os.utime(d / "s-1/w", (1, 1)),
    ],
)
def test_what_is_written_to_is_dropped(spool: Spool, data: Path, change: Change) -> None:
    with pytest.raises(SetChangedError, match="s-1/"):
        uploaded_meanwhile(spool, data, change)


@pytest.mark.parametrize("change", [rewritten_in_place, removed, replaced])
def test_what_changes_before_it_is_taken_is_dropped(
    spool: Spool, data: Path, change: Change
) -> None:
    found = the_set(data)
    change(data)
    with pytest.raises(SetChangedError, match="s-1/"):
        spool.hold(Tree(data), found)


def test_a_file_that_becomes_shorter_is_an_error_not_a_crash(data: Path) -> None:
    with (data / "s-1/w").open("rb") as stream:
        content = FileContent(stream.fileno(), 700)
        os.truncate(data / "s-1/w", 10)
        with pytest.raises(CutShortError, match="byte 10 of 700"):
            content[0:700]


def test_no_link_leads_out_of_the_directory(spool: Spool, data: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_bytes(b"secret")
    found = the_set(data)
    (data / "s-1").rename(data / "old")
    (data / "s-1").symlink_to(tmp_path / "secret")
    (data / "link-7").symlink_to(tmp_path / "secret/key")
    os.mkfifo(data / "fifo-8")
    tree = Tree(data)
    assert [file.path for file in tree.files()] == ["old/empty", "old/w"]
    for path in ("s-1/key", "link-7", "fifo-8"):
        with pytest.raises(OSError, match=r"\S"):
            tree.open(path)
    with pytest.raises(SetChangedError, match="s-1/"):
        spool.hold(tree, found)


def test_what_an_earlier_run_held_is_forgotten(spool: Spool, data: Path) -> None:
    spool.hold(Tree(data), the_set(data))
    assert len(spool.hold(Tree(data), the_set(data))) == 2
    spool.clear()
    assert list(spool.folder.iterdir()) == []
    assert (data / "s-1/w").stat().st_nlink == 1


def test_too_many_files_are_named(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    monkeypatch.setattr("spot_sidecar.directory.tree.MAX_FILES", 1)
    assert MAX_FILES == 20_000
    with pytest.raises(TooManyFilesError, match="directory of their own"):
        Tree(data).files()
