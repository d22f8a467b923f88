"""What a download fills: memory or a file, in any order, and never more than there is room for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.checkpoints import random_bytes
from spot_training.checkpoint.content import FileRoom, FullError
from spot_training.checkpoint.digest import digest_payload
from spot_training.checkpoint.stores.directory import DirectoryStore

CONTENT = random_bytes(10_000)
DIGESTS = digest_payload(CONTENT, part_size=4096)


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path / "filled", os.O_RDWR | os.O_CREAT)
    yield opened
    os.close(opened)


def a_store(folder: Path) -> DirectoryStore:
    """One that holds the content."""
    store = DirectoryStore.prepare(folder / "lineage", within=folder)
    store.upload("data/object", memoryview(CONTENT), DIGESTS)
    return store


def test_slices_may_come_in_any_order(descriptor: int) -> None:
    room = FileRoom(descriptor, len(CONTENT))
    for start in (8192, 0, 4096):
        room[start : start + 4096] = CONTENT[start : start + 4096]
    assert os.pread(descriptor, len(CONTENT) + 1, 0) == CONTENT


@pytest.mark.parametrize(("start", "count"), [(0, 3), (0, 5), (9_998, 4)])
def test_a_slice_takes_exactly_its_bytes(descriptor: int, start: int, count: int) -> None:
    room = FileRoom(descriptor, len(CONTENT))
    with pytest.raises(ValueError, match=f"{count} bytes for the"):
        room[start : start + 4] = bytes(count)
    assert os.fstat(descriptor).st_size == 0


def test_a_file_system_without_room_is_no_trouble_of_the_store(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(FullError, match="no room for 10000 bytes"):
            store.download("data/object", FileRoom(full, len(CONTENT)), DIGESTS)
    finally:
        os.close(full)


def test_a_download_fills_a_file(tmp_path: Path, descriptor: int) -> None:
    store = a_store(tmp_path)
    store.download("data/object", FileRoom(descriptor, len(CONTENT)), DIGESTS)
    assert os.pread(descriptor, len(CONTENT) + 1, 0) == CONTENT
