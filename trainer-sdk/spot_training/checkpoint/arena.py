"""A snapshot's place in shared memory: one control page, then a safetensors payload.

Control page (4096 bytes, little endian): magic `SPOTAREN`, u32 layout version, u64 generation,
u64 step, u64 payload bytes, u32 CRC-32 of all of those. The generation is odd while a snapshot is
being written and even when it is whole: evidence of a crash in between, not a lock. Who may write
is agreed elsewhere (the sidecar grants an arena, the local backend owns both).
"""

# ruff: noqa: N818 - errors are named for what happened
from __future__ import annotations

import ctypes
import mmap
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PAGE = 4096
MAGIC = b"SPOTAREN"
VERSION = 1
_FIELDS = struct.Struct("<8sIQQQ")
_CRC = struct.Struct("<I")
_mapped: dict[int, int] = {}  # address -> bytes of this process's mapped arenas
_unmapping: dict[int, Callable[[int], None]] = {}


class ArenaError(Exception):
    """The file is not an arena of this version, or is too small."""


class TornSnapshot(ArenaError):
    """The arena holds no whole snapshot, or not the one asked for."""


@dataclass(frozen=True, slots=True)
class Control:
    """What the control page says."""

    generation: int
    step: int
    payload_bytes: int

    @property
    def whole(self) -> bool:
        return self.generation > 0 and self.generation % 2 == 0


def arena_bytes(payload_bytes: int) -> int:
    """Size of the file for a payload: control page included, rounded up to pages."""
    return PAGE + -(-payload_bytes // PAGE) * PAGE


def allocate(path: Path, payload_bytes: int, *, mode: int = 0o660) -> None:
    """Creates (or resizes) the file with every page allocated and charged to the caller.

    Raises OSError (ENOSPC) when the memory is not there; nothing is left behind then.
    """
    size = arena_bytes(payload_bytes)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        os.fchmod(descriptor, mode)
        os.posix_fallocate(descriptor, 0, size)
        os.ftruncate(descriptor, size)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


class Arena:
    """A mapped arena. One writer (`begin`, `finish`); any reader (`control`, `snapshot`)."""

    def __init__(self, path: Path) -> None:
        """Maps the file and touches its pages; raises ArenaError if it is too small."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            if size < PAGE:
                raise ArenaError(f"{path} has {size} bytes, an arena has at least {PAGE}")
            self._map = mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
        finally:
            os.close(descriptor)
        self._view = memoryview(self._map)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        _mapped[self._address] = size

    @property
    def capacity(self) -> int:
        """Payload bytes that fit."""
        return len(self._view) - PAGE

    def control(self) -> Control | None:
        """The control page; None before the first snapshot or after a torn write of the page."""
        magic, version, generation, step, size = _FIELDS.unpack_from(self._view)
        (crc,) = _CRC.unpack_from(self._view, _FIELDS.size)
        if magic != MAGIC or crc != zlib.crc32(self._view[: _FIELDS.size]):
            return None
        if version != VERSION:
            raise ArenaError(
                f"the arena has layout {version}, this version knows {VERSION}: use the same "
                "version of spot-training in the trainer's image and in the sidecar's"
            )
        return Control(generation, step, size) if size <= self.capacity else None

    def begin(self, *, step: int, payload_bytes: int) -> memoryview:
        """Marks the arena as being written; returns the payload's memory."""
        if payload_bytes > self.capacity:
            raise ArenaError(f"a payload of {payload_bytes} bytes in {self.capacity}")
        before = self.control()
        generation = before.generation if before else 0
        self._write(Control(generation + 1 + generation % 2, step, payload_bytes))
        return self._view[PAGE : PAGE + payload_bytes]

    def finish(self) -> Control:
        """Marks the snapshot whole; returns what the control page now says."""
        current = self.control()
        if current is None or current.whole:
            raise TornSnapshot("finish() without begin()")
        done = Control(current.generation + 1, current.step, current.payload_bytes)
        self._write(done)
        return done

    def snapshot(self, generation: int) -> memoryview:
        """The payload of this generation, not copied; raises TornSnapshot if it is not there."""
        current = self.control()
        if current is None or not current.whole or current.generation != generation:
            raise TornSnapshot(f"generation {generation} asked for, the arena holds {current}")
        return self._view[PAGE : PAGE + current.payload_bytes].toreadonly()

    def close(self) -> None:
        """Unmaps; a view still in use keeps the memory until it goes."""
        if self._address in _mapped:
            del _mapped[self._address]
            _unmapping.pop(self._address, _nothing)(self._address)
        self._view.release()
        try:
            self._map.close()
        except BufferError:
            return  # numpy or an upload still looks at it: the mapping goes with the last view

    def _write(self, control: Control) -> None:
        fields = _FIELDS.pack(
            MAGIC, VERSION, control.generation, control.step, control.payload_bytes
        )
        self._view[: _FIELDS.size + _CRC.size] = fields + _CRC.pack(zlib.crc32(fields))


def mapping_around(address: int, size: int) -> tuple[int, int]:
    """Address and bytes of the mapped arena that [address, address + size) lies in; (0, 0) if
    none."""
    for begin, length in _mapped.items():
        if begin <= address and address + size <= begin + length:
            return begin, length
    return 0, 0


def before_unmapping(begin: int, call: Callable[[int], None]) -> None:
    """`call(begin)` once, before the arena mapped at `begin` is unmapped."""
    _unmapping[begin] = call


def _nothing(_: int) -> None:
    """Nobody asked to be told."""
