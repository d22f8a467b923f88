import struct
from pathlib import Path

from spot_training.progress import BYTES, Progress, ProgressWriter, read_progress

FIRST = Progress(step=5, samples=160, epoch=1, at=1_700_000_000.5, stall_seconds=0.25)


def test_what_was_published_is_read(tmp_path: Path) -> None:
    writer = ProgressWriter(tmp_path / "progress")
    assert read_progress(tmp_path / "progress") is None
    writer.write(FIRST)
    assert read_progress(tmp_path / "progress") == FIRST
    assert (tmp_path / "progress").stat().st_size == BYTES


def test_an_absent_file_is_no_progress(tmp_path: Path) -> None:
    assert read_progress(tmp_path / "absent") is None


def test_a_half_written_state_is_not_told(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    ProgressWriter(path).write(FIRST)
    body = bytearray(path.read_bytes())
    struct.pack_into("<Q", body, 0, 3)
    path.write_bytes(body)
    assert read_progress(path) is None


def test_a_restarted_writer_repairs_what_its_predecessor_left(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    path.write_bytes(struct.pack("<Q", 7) + bytes(56))
    ProgressWriter(path).write(FIRST)
    assert read_progress(path) == FIRST


def test_a_file_cut_short_is_no_progress(tmp_path: Path) -> None:
    (tmp_path / "progress").write_bytes(b"\x02" + bytes(20))
    assert read_progress(tmp_path / "progress") is None
