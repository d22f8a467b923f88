"""What `checkpoint.store.Store` promises, on a directory and on a real S3 server."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kit.checkpoints import an_id, commit_checkpoint, random_bytes
from kit.stores import S3Server
from spot_training.checkpoint import keys, verify
from spot_training.checkpoint.digest import digest_payload
from spot_training.checkpoint.retry import Retry
from spot_training.checkpoint.selection import Bad, Good, Kind
from spot_training.checkpoint.store import Cancel, Cancelled, Corrupt, NotFound, Store
from spot_training.checkpoint.stores.directory import DirectoryStore
from spot_training.checkpoint.stores.s3 import S3Store

MIB = 1 << 20
Place = tuple[Store, Callable[[str], Path]]


class Taking:
    """A throttle that lets everything pass, counts it, and does something each time."""

    def __init__(self, each_time: Callable[[], object]) -> None:
        self.taken = 0
        self._each_time = each_time

    def take(self, size: int, cancel: Cancel | None) -> None:
        assert cancel is None or size > 0
        self.taken += size
        self._each_time()


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A store, and where the file behind a key lies."""
    if request.param == "directory":
        root = tmp_path / "lineage"
        yield DirectoryStore.prepare(root), lambda key: root / key
        shutil.rmtree(root)
        return
    server: S3Server = request.getfixturevalue("server")
    bucket: str = request.getfixturevalue("bucket")
    store = S3Store(server.settings(bucket), retry=Retry(attempts=3, initial=0.01))
    yield store, lambda key: server.object_path(bucket, key)
    store.close()


@pytest.fixture
def store(place: Place) -> Store:
    return place[0]


def test_ages_are_told_by_the_stores_own_clock(place: Place) -> None:
    store, path_of = place
    for key in ("expired/a.json", "expired/b.json", "other/c.json"):
        store.create(key, b"{}")
    first = store.written("expired/")
    assert set(first.at) == {"expired/a.json", "expired/b.json"}
    assert -2.0 < first.age("expired/a.json") < 60.0
    hours_ago = path_of("expired/a.json").stat().st_mtime - 7200
    os.utime(path_of("expired/a.json"), (hours_ago, hours_ago))
    later = store.written("expired/")
    assert 7190 < later.age("expired/a.json") - later.age("expired/b.json") < 7210


def test_folders_are_the_names_directly_below(store: Store) -> None:
    for key in ("uid-2/format.json", "uid-1/commits/x.json", "uid-1/data/y/z.bin", "loose.json"):
        store.create(key, b"{}")
    assert store.folders("") == ("uid-1", "uid-2")
    assert store.folders("uid-1/") == ("commits", "data")
    assert store.folders("absent/") == ()


def test_creating_never_overwrites(store: Store) -> None:
    assert store.probe().conditional_create
    assert store.create("a/b.json", b"first")
    assert store.create("a/b.json", b"first"), "our own write, seen again"
    assert not store.create("a/b.json", b"second")
    assert store.read("a/b.json") == b"first"


def test_of_many_creators_one_wins(store: Store) -> None:
    store.probe()
    bodies = [f"writer {number}".encode() for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        told = list(pool.map(lambda body: store.create("claim", body), bodies))
    stands = store.read("claim")
    assert told[bodies.index(stands)]
    # The server under test may let several of the same instant pass (measured; see Store.create).
    assert sum(told) == 1 or isinstance(store, S3Store)
    assert [store.create("claim", body) for body in bodies] == [body == stands for body in bodies]


def test_what_is_absent_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        store.read("absent")
    with pytest.raises(NotFound):
        store.stat("absent")
    with pytest.raises(NotFound):
        store.download("absent", memoryview(bytearray(5)), digest_payload(b"12345"))
    store.delete("absent")


def test_lists_are_sorted_and_whole(store: Store) -> None:
    for name in ("b/2", "b/10", "a", "b2/x", "b/1"):
        store.create(name, b"x")
    assert store.list("b/") == ("b/1", "b/10", "b/2")
    assert store.list("b") == ("b/1", "b/10", "b/2", "b2/x")
    assert store.list("c/") == ()
    assert set(store.list("")) >= {"a", "b/1", "b2/x"}


def test_a_list_begins_where_it_is_asked_to(store: Store) -> None:
    names = ("a", "b-1", "b/0/x", "b/1/x", "b/1/y", "b/1-", "b/10/x", "b/2/x", "c")
    for name in names:
        store.create(name, b"x")
    for prefix in ("", "b", "b/", "b/1", "b/1/"):
        for after in ("", "a", "b", "b/", "b/0/x", "b/1/x", "b/1/z", "b/1-", "b/9", "c"):
            wanted = [name for name in names if name.startswith(prefix) and name > after]
            assert store.list(prefix, after=after) == tuple(sorted(wanted)), (prefix, after)


def test_deleted_is_gone(store: Store) -> None:
    store.create("x/y", b"body")
    store.delete("x/y")
    assert store.list("x/") == ()
    assert store.create("x/y", b"other")


@pytest.mark.parametrize("size", [0, 1, 5 * MIB, 16 * MIB, 16 * MIB + 1, 40 * MIB + 3])
def test_objects_come_back_as_they_went(store: Store, size: int) -> None:
    data = random_bytes(size)
    digests = digest_payload(data)
    store.upload("data/object", data, digests)
    stat = store.stat("data/object")
    assert stat.size == size
    assert stat.checksum in (None, digests.whole)
    into = memoryview(bytearray(size))
    store.download("data/object", into, digests)
    assert into == data


@pytest.mark.parametrize("algorithm", ["crc32", "crc64nvme"])
@pytest.mark.parametrize("size", [100, 12 * MIB])
def test_both_algorithms_are_verified_on_the_way(store: Store, algorithm: str, size: int) -> None:
    data = random_bytes(size)
    digests = digest_payload(data, algorithm_name=algorithm, part_size=5 * MIB)
    store.upload("data/object", data, digests)
    into = memoryview(bytearray(size))
    store.download("data/object", into, digests)
    assert into == data


@pytest.mark.parametrize("size", [100, 36 * MIB])
def test_a_snapshot_that_changed_meanwhile_is_not_stored(store: Store, size: int) -> None:
    data = memoryview(bytearray(random_bytes(size)))
    digests = digest_payload(data)
    data[size // 2] ^= 1
    with pytest.raises(Corrupt):
        store.upload("data/object", data, digests)
    assert store.list("data/") == ()


@pytest.mark.parametrize("size", [100, 36 * MIB])
@pytest.mark.parametrize("damage", ["flip", "truncate", "grow"])
def test_damage_at_rest_is_noticed_while_reading(place: Place, size: int, damage: str) -> None:
    store, path_of = place
    data = random_bytes(size)
    digests = digest_payload(data)
    store.upload("data/object", data, digests)
    with path_of("data/object").open("r+b") as file:
        if damage == "flip":
            file.seek(size // 2)
            file.write(bytes([data[size // 2] ^ 1]))
        elif damage == "truncate":
            file.truncate(size // 2)
        else:
            file.seek(0, 2)
            file.write(b"more")
    with pytest.raises(Corrupt):
        store.download("data/object", memoryview(bytearray(size)), digests)


def test_a_cancelled_transfer_leaves_nothing(store: Store) -> None:
    data = random_bytes(36 * MIB)
    digests = digest_payload(data)
    cancel = threading.Event()

    with pytest.raises(Cancelled):
        store.upload("data/object", data, digests, throttle=Taking(cancel.set), cancel=cancel)
    assert store.list("data/") == ()
    store.upload("data/object", data, digests)
    with pytest.raises(Cancelled):
        store.download("data/object", memoryview(bytearray(len(data))), digests, cancel=cancel)


def test_a_throttle_sees_every_byte(store: Store) -> None:
    data = random_bytes(36 * MIB)
    throttle = Taking(lambda: None)
    store.upload("data/object", data, digest_payload(data), throttle=throttle)
    assert throttle.taken == len(data)


def test_wrong_sizes_are_the_callers_mistake(store: Store) -> None:
    digests = digest_payload(b"12345")
    with pytest.raises((ValueError, Corrupt)):
        store.upload("data/object", memoryview(b"123"), digests)


def test_a_checkpoint_is_judged_alike_everywhere(place: Place) -> None:
    store, path_of = place
    verify.open_lineage(store, created_at="2026-01-02T03:04:05Z")
    commit_checkpoint(store, ranks=2)
    assert verify.verdict(store, an_id(), node="n1") == Good()
    path_of(keys.data(an_id(), 1, 0)).unlink()
    verdict = verify.verdict(store, an_id(), node="n1")
    assert isinstance(verdict, Bad)
    assert verdict.evidence.kind is Kind.MISSING
