import os
import random
import zlib
from pathlib import Path

import pytest
from spot_training.checkpoint import arena
from spot_training.checkpoint.arena import PAGE, Arena, ArenaError, Control, TornSnapshot


@pytest.fixture
def place(tmp_path: Path) -> Path:
    arena.allocate(tmp_path / "arena", 10_000)
    return tmp_path / "arena"


def test_a_whole_snapshot_is_found_by_its_generation(place: Path) -> None:
    writer, reader = Arena(place), Arena(place)
    writer.begin(step=7, payload_bytes=5)[:] = b"hello"
    done = writer.finish()
    assert done == Control(generation=2, step=7, payload_bytes=5)
    assert reader.control() == done
    assert bytes(reader.snapshot(2)) == b"hello"
    assert reader.snapshot(2).readonly


def test_a_snapshot_being_written_is_none(place: Path) -> None:
    writer, reader = Arena(place), Arena(place)
    writer.begin(step=1, payload_bytes=5)
    writer.finish()
    writer.begin(step=2, payload_bytes=5)[:2] = b"he"
    control = reader.control()
    assert control is not None
    assert not control.whole
    for generation in (2, 3, 4):
        with pytest.raises(TornSnapshot):
            reader.snapshot(generation)


def test_after_a_writer_was_killed_the_next_one_goes_on(place: Path) -> None:
    Arena(place).begin(step=1, payload_bytes=5)
    second = Arena(place)
    second.begin(step=2, payload_bytes=3)[:] = b"abc"
    done = second.finish()
    assert done.whole
    assert bytes(second.snapshot(done.generation)) == b"abc"


def test_an_overwritten_generation_is_gone(place: Path) -> None:
    writer = Arena(place)
    writer.begin(step=1, payload_bytes=1)
    first = writer.finish()
    writer.begin(step=2, payload_bytes=1)
    writer.finish()
    with pytest.raises(TornSnapshot, match="generation 2"):
        writer.snapshot(first.generation)


def test_a_fresh_file_holds_nothing(place: Path) -> None:
    assert Arena(place).control() is None
    with pytest.raises(TornSnapshot):
        Arena(place).snapshot(2)


def test_every_torn_control_page_is_noticed(place: Path) -> None:
    writer = Arena(place)
    writer.begin(step=3, payload_bytes=5)
    writer.finish()
    before = place.read_bytes()[:40]
    writer.begin(step=2**40 + 1, payload_bytes=9_000)
    writer.finish()
    after = place.read_bytes()[:40]
    torn = [before[:at] + after[at:] for at in range(1, 40)]
    for page in torn:
        if page in (before, after):
            continue
        with place.open("r+b") as file:
            file.write(page)
        assert Arena(place).control() is None


def test_random_bytes_are_no_snapshot(place: Path) -> None:
    with place.open("r+b") as file:
        file.write(random.Random(1).randbytes(PAGE))
    assert Arena(place).control() is None


def test_a_payload_that_does_not_fit_is_refused(place: Path) -> None:
    writer = Arena(place)
    assert writer.capacity == 12_288
    with pytest.raises(ArenaError, match="12288"):
        writer.begin(step=1, payload_bytes=12_289)


def test_finish_without_begin_is_refused(place: Path) -> None:
    with pytest.raises(TornSnapshot, match="begin"):
        Arena(place).finish()


def test_a_newer_layout_is_refused(place: Path) -> None:
    writer = Arena(place)
    fields = arena._FIELDS.pack(arena.MAGIC, 2, 2, 1, 1)
    with place.open("r+b") as file:
        file.write(fields + arena._CRC.pack(zlib.crc32(fields)))
    with pytest.raises(ArenaError, match="layout 2"):
        writer.control()


def test_a_short_file_is_no_arena(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"x")
    with pytest.raises(ArenaError, match="1 bytes"):
        Arena(tmp_path / "short")


def test_pages_are_allocated_with_the_asked_mode(tmp_path: Path) -> None:
    previous = os.umask(0o077)
    try:
        arena.allocate(tmp_path / "arena", 5_000)
    finally:
        os.umask(previous)
    found = (tmp_path / "arena").stat()
    assert found.st_mode & 0o777 == 0o660
    assert found.st_size == PAGE + 2 * PAGE
    assert found.st_blocks * 512 >= found.st_size


def test_closing_with_a_view_in_use_is_harmless(place: Path) -> None:
    writer = Arena(place)
    writer.begin(step=1, payload_bytes=3)[:] = b"abc"
    view = writer.snapshot(writer.finish().generation)
    writer.close()
    assert bytes(view) == b"abc"
