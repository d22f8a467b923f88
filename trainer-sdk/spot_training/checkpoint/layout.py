"""A snapshot's bytes: the safetensors format, laid out once and written in place ever after.

The layout (names, dtypes, shapes, offsets) is fixed on the first save, so a save is one memory
copy per array. Everything that is not an array travels as JSON in a padded uint8 tensor at the
end: the header stays the same although that text grows. Any safetensors reader can open the file.
Format: https://github.com/huggingface/safetensors (8-byte length, JSON header, data, no holes).
"""

# ruff: noqa: N818 - errors are named for what happened
from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spot_training.checkpoint import tensors
from spot_training.checkpoint.records import Damaged

Array = npt.NDArray[Any]
STATE = "__spot_state__"
_METADATA = "__metadata__"
_LENGTH = struct.Struct("<Q")
_ALIGN = 64  # header padding, so that the data begins on a cache line
_MAX_HEADER = 100_000_000  # the limit of the safetensors library
_STATE_STEP = 4096
_NUMPY: dict[str, str] = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "C64": "<c8",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
    "F8_E4M3": "|u1", "F8_E5M2": "|u1",
}  # fmt: skip
_STORED_AS_BITS = {"BF16", "F8_E4M3", "F8_E5M2"}  # numpy has no such types
_NAMES = {spelled: name for name, spelled in _NUMPY.items() if name not in _STORED_AS_BITS}


class LayoutChanged(Exception):
    """The state no longer has the layout it was saved with; plan a new one."""


@dataclass(frozen=True, slots=True)
class Spec:
    """An array's dtype (safetensors' name: F32, BF16 …) and shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * np.dtype(_NUMPY[self.dtype]).itemsize


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one tensor lies: bytes [start, end) of the payload."""

    name: str
    spec: Spec
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything lies. `size` is the payload's length in bytes, header included."""

    header: bytes
    slots: tuple[Slot, ...]
    size: int

    def ranges(self) -> list[tuple[str, int, int]]:
        """(name, start, end) of every tensor, ascending: what digests are taken of."""
        return [(slot.name, slot.start, slot.end) for slot in self.slots]

    def specs(self) -> dict[str, Spec]:
        return {slot.name: slot.spec for slot in self.slots}

    def fits(self, arrays: Mapping[str, Spec], state_bytes: int) -> bool:
        """Whether this layout holds exactly these arrays and that much typed state."""
        room = self.slots[-1].spec.bytes - _LENGTH.size
        return (
            state_bytes <= room
            and len(arrays) == len(self.slots) - 1
            and all(arrays.get(slot.name) == slot.spec for slot in self.slots[:-1])
        )

    def views(self, payload: memoryview) -> dict[str, Array]:
        """Every tensor inside `payload` but the typed state, not copied."""
        return {slot.name: _view(payload, slot) for slot in self.slots if slot.name != STATE}

    def write(self, payload: memoryview, arrays: Mapping[str, Any], state: bytes) -> None:
        """Writes a whole snapshot into `payload` (at least `size` bytes).

        `arrays` (numpy's, or a framework's tensors) must have the planned specs (call `fits`
        before); `state` is the typed state.
        """
        payload[: len(self.header)] = self.header
        foreign: dict[str, list[tuple[Any, Slot]]] = {}
        for slot in self.slots:
            if slot.name == STATE:
                _write_state(payload[slot.start : slot.end], state)
            elif isinstance(array := arrays[slot.name], np.ndarray):
                np.copyto(_view(payload, slot), array, casting="no")
            elif kind := tensors.kind_of(array):
                foreign.setdefault(kind.name, []).append((array, slot))
        for name, placed in foreign.items():
            tensors.kind_named(name).write(payload, placed)

    def state(self, payload: memoryview) -> bytes:
        """The typed state inside `payload`; raises Damaged if its length is impossible."""
        slot = self.slots[-1]
        if slot.name != STATE or slot.end - slot.start < _LENGTH.size:
            raise Damaged(f"the file has no tensor {STATE} at its end")
        content = payload[slot.start : slot.end]
        (length,) = _LENGTH.unpack_from(content)
        if length > len(content) - _LENGTH.size:
            raise Damaged(f"the typed state claims {length} bytes in a tensor of {len(content)}")
        return bytes(content[_LENGTH.size : _LENGTH.size + length])


def spec_of(array: Any) -> Spec:
    """The spec of an array or tensor; TypeError for a dtype that safetensors does not have."""
    kind = None if isinstance(array, np.ndarray) else tensors.kind_of(array)
    if kind is not None:
        return kind.spec(array)
    name = _NAMES.get(array.dtype.str)
    if name is None:
        raise TypeError(
            f"dtype {array.dtype} (byte order {array.dtype.byteorder!r}) has no safetensors name; "
            "use a little-endian number type, or pass a view of one, such as .view('<f8')"
        )
    return Spec(name, array.shape)


def plan(arrays: Mapping[str, Spec], *, state_bytes: int) -> Layout:
    """A layout for these arrays with room for the typed state to double.

    Wider types come first, so that every tensor is aligned to its item size.
    """
    room = _round_up(2 * state_bytes + _LENGTH.size, _STATE_STEP)
    names = sorted(arrays, key=lambda name: (-_itemsize(arrays[name]), name))
    specs = {name: arrays[name] for name in names} | {STATE: Spec("U8", (room,))}
    header = _header(specs)
    slots, at = [], len(header)
    for name, spec in specs.items():
        slots.append(Slot(name, spec, at, at + spec.bytes))
        at += spec.bytes
    return Layout(header, tuple(slots), at)


def parse(payload: memoryview) -> Layout:
    """The layout of a written payload; raises Damaged for anything but a whole, gapless file."""
    if len(payload) < _LENGTH.size:
        raise Damaged(f"the file has {len(payload)} bytes, too few for a header")
    (length,) = _LENGTH.unpack_from(payload)
    base = _LENGTH.size + length
    if length > _MAX_HEADER or base > len(payload):
        raise Damaged(f"the header claims {length} bytes in a file of {len(payload)}")
    return parse_header(bytes(payload[:base]), len(payload))


def parse_header(header: bytes, size: int) -> Layout:
    """The layout of a file of `size` bytes by its header alone; raises Damaged."""
    slots = _slots(_entries(header[_LENGTH.size :]), len(header))
    if not slots or slots[-1].end != size:
        raise Damaged(f"the tensors end elsewhere than the file of {size} bytes")
    return Layout(header, slots, size)


def _header(specs: Mapping[str, Spec]) -> bytes:
    entries: dict[str, Any] = {_METADATA: {"format": "spot-training", "schema": "1"}}
    at = 0
    for name, spec in specs.items():
        entries[name] = {
            "dtype": spec.dtype, "shape": list(spec.shape), "data_offsets": [at, at + spec.bytes]
        }  # fmt: skip
        at += spec.bytes
    text = json.dumps(entries, separators=(",", ":")).encode("utf-8")
    length = _round_up(_LENGTH.size + len(text), _ALIGN) - _LENGTH.size
    return _LENGTH.pack(length) + text.ljust(length)


def _entries(text: bytes) -> dict[str, Any]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"the header is not JSON: {error}") from error
    if not isinstance(entries, dict):
        raise Damaged("the header is not a JSON object")
    entries.pop(_METADATA, None)
    return entries


def _slots(entries: Mapping[str, Any], base: int) -> tuple[Slot, ...]:
    try:
        slots = [_slot(name, entry, base) for name, entry in entries.items()]
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"the header describes a tensor wrongly: {error!r}") from error
    slots.sort(key=lambda slot: (slot.start, slot.end))
    at = base
    for slot in slots:
        if slot.start != at or slot.end - slot.start != slot.spec.bytes:
            raise Damaged(
                f"tensor {slot.name!r} at [{slot.start}, {slot.end}) leaves a gap, or its size is "
                "wrong"
            )
        at = slot.end
    return tuple(slots)


def _slot(name: str, entry: Mapping[str, Any], base: int) -> Slot:
    start, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if entry["dtype"] not in _NUMPY or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"{name}: {entry}")
    return Slot(name, Spec(entry["dtype"], shape), base + start, base + end)


def _view(payload: memoryview, slot: Slot) -> Array:
    flat = np.frombuffer(payload[slot.start : slot.end], np.dtype(_NUMPY[slot.spec.dtype]))
    return flat.reshape(slot.spec.shape)


def _write_state(room: memoryview, state: bytes) -> None:
    if len(state) > len(room) - _LENGTH.size:
        raise LayoutChanged(f"typed state of {len(state)} bytes in a room of {len(room)}")
    end = _LENGTH.size + len(state)
    _LENGTH.pack_into(room, 0, len(state))
    room[_LENGTH.size : end] = state
    room[end:] = bytes(len(room) - end)


def _itemsize(spec: Spec) -> int:
    return np.dtype(_NUMPY[spec.dtype]).itemsize


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step
