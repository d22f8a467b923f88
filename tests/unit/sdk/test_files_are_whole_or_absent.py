"""A directory as a store: atomic, durable, create-only, and clear about what is wrong with it."""

import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from spot_training.checkpoint.digest import digest_payload
from spot_training.checkpoint.store import (
    Corrupt,
    Denied,
    Misconfigured,
    NotFound,
    StoreError,
    Unreachable,
)
from spot_training.checkpoint.stores import files
from spot_training.checkpoint.stores.directory import DirectoryStore

DATA = memoryview(os.urandom(100_000))
DIGESTS = digest_payload(DATA, part_size=30_000)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore.prepare(tmp_path / "lineage")


def failing(code: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (errno.ENOSPC, Unreachable, "make room or enlarge the volume"),
        (errno.EDQUOT, Unreachable, "make room or enlarge the volume"),
        (errno.ESTALE, Unreachable, "it is tried again"),
        (errno.EIO, Unreachable, "see whether its server answers"),
        (errno.ENOTCONN, Unreachable, "see whether its server answers"),
        (errno.EROFS, Denied, "mount it writable"),
        (errno.EACCES, Denied, f"user {os.geteuid()} "),
        (errno.ENAMETOOLONG, Misconfigured, "choose another path"),
    ],
)
@pytest.mark.parametrize("call", ["create", "upload", "read", "delete"])
def test_what_the_file_system_says_becomes_what_to_do(
    store: DirectoryStore,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    kind: type[StoreError],
    says: str,
    call: str,
) -> None:
    store.create("x/y", b"body")
    broken = {"create": "fsync", "upload": "fsync", "read": "read", "delete": "fsync"}[call]
    monkeypatch.setattr(os, broken, failing(code))
    calls: dict[str, Callable[[], object]] = {
        "create": lambda: store.create("a", b"body"),
        "upload": lambda: store.upload("a", DATA, DIGESTS),
        "read": lambda: store.read("x/y"),
        "delete": lambda: store.delete("x/y"),
    }
    with pytest.raises(kind, match=says):
        calls[call]()
    monkeypatch.undo()
    assert "a" not in store.list("")
    assert list((store.root / ".tmp").iterdir()) == []


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_without_hard_links_creating_is_still_create_only(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(os, "link", failing(code))
    assert store.create("a/b", b"first")
    assert store.create("a/b", b"first")
    assert not store.create("a/b", b"second")
    assert store.read("a/b") == b"first"
    assert store.probe().conditional_create


def test_a_file_system_that_can_do_neither_is_refused(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoRename:
        def renameat2(self, *_: object) -> int:
            ctypes.set_errno(errno.EINVAL)
            return -1

    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: NoRename())
    with pytest.raises(Misconfigured, match="use another volume, or S3"):
        store.create("a", b"body")
    assert store.list("") == ()


def test_a_link_whose_answer_was_lost_is_ours(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS: the server did it, the client asked again and was told that the name exists."""
    real = os.link

    def twice(source: Any, target: Any) -> None:
        real(source, target)
        raise FileExistsError(errno.EEXIST, "exists")

    monkeypatch.setattr(os, "link", twice)
    assert store.create("a", b"body")


def test_what_is_said_to_be_there_is_on_the_disk(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when somebody else made it: he may have died before he synced its folder."""
    store.create("a/b", b"body")
    synced: list[str] = []
    monkeypatch.setattr(files, "sync_folder", lambda path: synced.append(path.name))
    assert store.create("a/b", b"body")
    assert not store.create("a/b", b"other")
    assert synced == ["a", "a"]


def test_a_volume_that_does_not_keep_what_it_is_given_is_found_out(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = files.write_all

    def losing(descriptor: int, data: memoryview) -> None:
        real(descriptor, memoryview(bytes(len(data))))

    monkeypatch.setattr(files, "write_all", losing)
    with pytest.raises(Corrupt, match="differs from its digest"):
        store.upload("data/x", DATA, DIGESTS)
    assert store.list("data/") == ()


def test_a_folder_that_another_writer_removes_as_empty_is_made_again(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link
    removed: list[object] = []

    def link(source: Any, target: Any) -> None:
        if not removed:
            removed.append(target)
            Path(target).parent.rmdir()
        real(source, target)

    monkeypatch.setattr(os, "link", link)
    assert store.create("ready/x/r0.json", b"body")
    assert removed


def test_empty_folders_go_with_their_last_key(store: DirectoryStore) -> None:
    store.create("data/x/a", b"1")
    store.create("data/x/b", b"2")
    store.delete("data/x/a")
    assert store.list("data/") == ("data/x/b",)
    store.delete("data/x/b")
    assert not (store.root / "data" / "x").exists()


@pytest.mark.parametrize("below", ["", "teams", "teams/job"])
def test_a_link_that_leads_out_of_the_volume_is_refused(tmp_path: Path, below: str) -> None:
    volume, outside = tmp_path / "volume", tmp_path / "outside"
    (volume / below).mkdir(parents=True)
    outside.mkdir()
    (volume / below / "next").symlink_to(outside)
    with pytest.raises(Misconfigured, match="symbolic link"):
        DirectoryStore.prepare(volume / below / "next" / "uid", within=volume)
    assert list(outside.iterdir()) == []


def test_links_inside_a_lineage_are_not_followed(store: DirectoryStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (store.root / "a").symlink_to(tmp_path / "secret")
    room = memoryview(bytearray(6))
    with pytest.raises(Corrupt, match="not a plain file"):
        store.read("a")
    with pytest.raises(Corrupt, match="not a plain file"):
        store.download("a", room, digest_payload(b"secret"))
    assert bytes(room) == bytes(6)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(os.path.relpath(path))  # an address is short


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, a_socket])
def test_what_is_no_plain_file_is_damage_and_is_not_waited_for(
    store: DirectoryStore, make: Callable[[Path], object]
) -> None:
    make(store.root / "a")
    calls: list[Callable[[], object]] = [
        lambda: store.read("a"),
        lambda: store.read_range("a", 0, 1),
        lambda: store.stat("a"),
        lambda: store.download("a", memoryview(bytearray(6)), digest_payload(b"secret")),
        lambda: store.create("a", b"body"),
    ]
    for call in calls:
        with pytest.raises(Corrupt, match="not a plain file"):
            call()


def test_a_volume_that_is_not_mounted_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="is its volume mounted"):
        DirectoryStore.prepare(tmp_path / "gone" / "job", within=tmp_path / "gone")
    store = DirectoryStore.prepare(tmp_path / "here")
    (tmp_path / "here").rmdir()
    for call in (lambda: store.read("a"), lambda: store.list(""), lambda: store.create("a", b"")):
        with pytest.raises(Unreachable, match="is its volume mounted"):
            call()


def test_drafts_of_killed_writers_go_when_they_are_old(store: DirectoryStore) -> None:
    drafts = store.root / ".tmp"
    drafts.mkdir()
    for name in ("data~x~r0.aaaa", "data~y~r0.bbbb"):
        (drafts / name).write_bytes(b"half")
    assert store.discard_abandoned(lambda _key: False, older_seconds=3600) == ()
    old = store.written("").now - 7200
    for path in drafts.iterdir():
        os.utime(path, (old, old))
    assert store.discard_abandoned(lambda key: key == "data/y/r0", older_seconds=3600) == (
        "data/x/r0",
    )
    assert [path.name for path in drafts.iterdir()] == ["data~y~r0.bbbb"]


def test_a_draft_that_is_taken_from_its_writer_is_trouble_not_loss(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = files.sync_folder

    def robbed(path: Path) -> None:
        real(path)

    another = DirectoryStore(store.root)

    class Robbing:
        def take(self, _size: int, _cancel: object) -> None:
            another.discard_abandoned(lambda _key: False, older_seconds=-10)

    monkeypatch.setattr(files, "sync_folder", robbed)
    with pytest.raises(Unreachable, match="was removed while it was written"):
        store.upload("data/x", DATA, DIGESTS, throttle=Robbing())
    with pytest.raises(NotFound):
        store.stat("data/x")


def test_a_draft_of_ones_own_is_never_taken_for_abandoned(store: DirectoryStore) -> None:
    class Clearing:
        def take(self, _size: int, _cancel: object) -> None:
            assert store.discard_abandoned(lambda _key: False, older_seconds=-10) == ()

    store.upload("data/x", DATA, DIGESTS, throttle=Clearing())
    assert store.stat("data/x").size == len(DATA)


def test_what_a_killed_process_left_of_an_object_goes_when_it_is_written_again(
    store: DirectoryStore,
) -> None:
    drafts = store.root / ".tmp"
    drafts.mkdir()
    for name in ("data~x~r0-p0.aaaa", "data~x~r0-p0.bbbb", "data~x~r0-p00.cccc", "data~y.dddd"):
        (drafts / name).write_bytes(b"half")
    store.upload("data/x/r0-p0", DATA, DIGESTS)
    assert sorted(path.name for path in drafts.iterdir()) == ["data~x~r0-p00.cccc", "data~y.dddd"]


WRITER = """
import sys
from pathlib import Path
from spot_training.checkpoint.digest import digest_payload
from spot_training.checkpoint.stores.directory import DirectoryStore
store = DirectoryStore.prepare(Path(sys.argv[1]))
print("ready", flush=True)
for number in range(10**6):
    body = bytes([number % 251]) * 200_000
    store.upload(f"data/{number}", memoryview(body), digest_payload(body, part_size=50_000))
    store.create(f"ready/{number}", body[:1000])
    print(number, flush=True)
"""


@pytest.mark.parametrize("after", [0, 3, 11])
def test_killed_at_any_point_a_writer_leaves_whole_files_or_none(
    tmp_path: Path, after: int
) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "lineage")], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    said = [writer.stdout.readline() for _ in range(after + 1)]
    writer.send_signal(signal.SIGKILL)
    said += writer.stdout.readlines()
    writer.wait(10)
    writer.stdout.close()
    store = DirectoryStore(tmp_path / "lineage")
    done = [int(line) for line in said[1:] if line.strip()]
    for number in done:
        assert store.stat(f"data/{number}").size == 200_000
    for key in store.list("data/"):
        body = store.read(key)
        assert body == bytes([int(key.partition("/")[2]) % 251]) * 200_000
    for key in store.list("ready/"):
        assert len(store.read(key)) == 1000
    store.discard_abandoned(lambda _key: False, older_seconds=-1)
    assert list((tmp_path / "lineage" / ".tmp").glob("*")) == []


def test_a_folder_that_another_deletion_removed_is_no_trouble(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("a/b", b"x")
    sync = files.sync_folder

    def sync_too_late(folder: Path) -> None:
        folder.rmdir()
        sync(folder)

    monkeypatch.setattr(files, "sync_folder", sync_too_late)
    store.delete("a/b")
    assert store.list("") == ()
