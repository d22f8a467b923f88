"""What a process tells without a system call: 64 bytes in shared memory, written every step.

Little endian: u64 generation (odd while writing), u64 step, u64 samples, u64 epoch, f64 wall time
of the last step (Unix seconds), f64 cumulative stall seconds, u64 flags, u64 reserved (both 0).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path

BYTES = 64
_ALL = struct.Struct("<QQQQddQQ")
_GENERATION = struct.Struct("<Q")
_REST = struct.Struct("<QQQddQQ")
_READS = 100  # a reader that meets this many half-written states meets a dead writer


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a process is; `at` is Unix time of the last step."""

    step: int
    samples: int
    epoch: int
    at: float
    stall_seconds: float


class ProgressWriter:
    """Publishes progress through a mapping of `path`, created with 64 zero bytes if absent."""

    def __init__(self, path: Path) -> None:
        descriptor = open_or_create(path)
        try:
            os.ftruncate(descriptor, BYTES)
            self._map = mmap.mmap(descriptor, BYTES)
        finally:
            os.close(descriptor)
        (before,) = _GENERATION.unpack_from(self._map)
        self._generation = before + before % 2

    def write(self, progress: Progress) -> None:
        """Publishes; readers see either the state before or this one."""
        _GENERATION.pack_into(self._map, 0, self._generation + 1)
        _REST.pack_into(
            self._map, 8, progress.step, progress.samples, progress.epoch,
            progress.at, progress.stall_seconds, 0, 0,
        )  # fmt: skip
        self._generation += 2
        _GENERATION.pack_into(self._map, 0, self._generation)

    def close(self) -> None:
        self._map.close()


def open_or_create(path: Path, mode: int = 0o660) -> int:
    """A descriptor of the file for reading and writing; made if it is not there.

    In a folder like /tmp (a pod's memory volume is one) Linux lets nobody, not even root, open
    another user's file with O_CREAT (the setting fs.protected_regular, on wherever systemd is). So
    what the sidecar has made is opened without.
    """
    flags = os.O_RDWR | os.O_CLOEXEC
    while True:
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                return os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)


def read_progress(path: Path) -> Progress | None:
    """The last published progress; None if there is none yet or its writer died while writing."""
    try:
        with path.open("rb", buffering=0) as file:
            return _settled(file.fileno())
    except FileNotFoundError:
        return None


def _settled(descriptor: int) -> Progress | None:
    for _ in range(_READS):
        body, again = os.pread(descriptor, BYTES, 0), os.pread(descriptor, BYTES, 0)
        if len(body) == BYTES and body == again and body[0] % 2 == 0:
            generation, step, samples, epoch, at, stall, _, _ = _ALL.unpack(body)
            return Progress(step, samples, epoch, at, stall) if generation else None
    return None
