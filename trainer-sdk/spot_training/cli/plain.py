"""A plain safetensors file of some of a checkpoint's tensors, byte by byte as they were stored.

Bytes are copied, not arrays: numpy has no bfloat16. `format: pt` in the metadata is what
transformers and others ask for; it says nothing about the bytes.
Format: https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from spot_training.checkpoint.layout import STATE, Layout, Slot

_ALIGN = 8


@dataclass(frozen=True, slots=True)
class Taken:
    """A tensor to be written under `name`."""

    name: str
    slot: Slot


def select(layout: Layout, prefix: str) -> list[Taken]:
    """The tensors whose names begin with `prefix`, which is cut; typed state never."""
    return [
        Taken(slot.name.removeprefix(prefix), slot)
        for slot in layout.slots
        if slot.name != STATE and slot.name.startswith(prefix) and slot.name != prefix
    ]


def header(taken: Sequence[Taken], metadata: Mapping[str, str]) -> bytes:
    """The file's first bytes: length, JSON, padding. Offsets follow the order given."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt", **metadata}}
    at = 0
    for item in taken:
        spec = item.slot.spec
        entries[item.name] = {
            "dtype": spec.dtype, "shape": list(spec.shape), "data_offsets": [at, at + spec.bytes]
        }  # fmt: skip
        at += spec.bytes
    text = json.dumps(entries, separators=(",", ":")).encode("utf-8")
    padded = text.ljust(-(-len(text) // _ALIGN) * _ALIGN)
    return struct.pack("<Q", len(padded)) + padded


def write(
    file: BinaryIO, payload: memoryview, taken: Sequence[Taken], metadata: Mapping[str, str]
) -> int:
    """Writes header and tensors; returns the bytes written."""
    begin = header(taken, metadata)
    file.write(begin)
    file.writelines(payload[item.slot.start : item.slot.end] for item in taken)
    return len(begin) + sum(item.slot.end - item.slot.start for item in taken)
