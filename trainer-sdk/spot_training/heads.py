"""The head of a batch: as much of it as tells whether it is the same batch again.

It is looked at before the script can change the batch, at every step, so it must cost next to
nothing: what is not at hand in the CPU's memory is left out.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from spot_training.checkpoint.tensors import content_of, kind_of

_LEAVES = 8
_BYTES = 4096


def head_of(batch: object) -> str:
    """Equal for equal batches; empty if nothing of it can be looked at."""
    crc = None
    for leaf in islice(_leaves(batch), _LEAVES):
        crc = zlib.crc32(leaf, crc or 0)
    return "" if crc is None else f"{crc:08x}"


def _leaves(value: Any) -> Iterator[memoryview | bytes]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, bool | int | float | str | np.generic):
        yield repr(value)[:_BYTES].encode()
    elif isinstance(value, np.ndarray):
        if value.size and value.flags.c_contiguous and not value.dtype.hasobject:
            yield content_of(value.reshape(-1)[: -(-_BYTES // value.itemsize)])
    elif (kind := kind_of(value)) is not None and (head := kind.head(value, _BYTES)) is not None:
        yield head
