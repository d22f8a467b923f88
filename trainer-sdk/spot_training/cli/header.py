"""The tensors of a stored object by its header alone: two small ranged reads, whatever its size."""

from __future__ import annotations

import struct

from spot_training.checkpoint import layout
from spot_training.checkpoint.manifest import StoredObject
from spot_training.checkpoint.records import Damaged
from spot_training.checkpoint.store import Store

_FIRST = 64 * 1024
_LENGTH = struct.Struct("<Q")


def read_slots(store: Store, item: StoredObject) -> tuple[layout.Slot, ...]:
    """Name, dtype, shape and place of every tensor. Raises Damaged."""
    head = store.read_range(item.key, 0, _FIRST)
    if len(head) < _LENGTH.size:
        raise Damaged(f"{item.key} has {len(head)} bytes, too few for a header")
    end = _LENGTH.size + _LENGTH.unpack_from(head)[0]
    if end > item.size:
        raise Damaged(f"{item.key}: the header claims {end} bytes in a file of {item.size}")
    if end > len(head):
        head += store.read_range(item.key, len(head), end - len(head))
    return layout.parse_header(head[:end], item.size).slots
