"""Where and by how much two arrays differ. Pure.

Distances are told as the largest absolute difference and in ulp: how many representable numbers lie
between the two (B. Dawson's ordering of the bit patterns: two's complement of the negative ones).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spot_training.checkpoint.layout import Slot

Array = npt.NDArray[Any]
_FLOATS: dict[str, tuple[str, int]] = {
    "F64": ("<u8", 64), "F32": ("<u4", 32), "F16": ("<u2", 16), "BF16": ("<u2", 16),
}  # fmt: skip
_PLAIN = {
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U64": "<u8", "U32": "<u4",
    "U16": "<u2", "U8": "|u1", "BOOL": "|b1", "C64": "<c8",
}  # fmt: skip
_DECODE: dict[str, Callable[[Array], Array]] = {
    "F64": lambda bits: bits.view("<f8"),
    "F32": lambda bits: bits.view("<f4"),
    "F16": lambda bits: bits.view("<f2"),
    "BF16": lambda bits: (bits.astype("<u4") << 16).view("<f4"),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """`first` is the index of the first value that differs, `count` of `total` values do.

    `largest` and `ulp` are None for types without such a distance.
    """

    first: tuple[int, ...]
    count: int
    total: int
    a: str
    b: str
    largest: float | None = None
    ulp: int | None = None

    def spelled(self) -> str:
        """In one line."""
        at = "[" + ",".join(map(str, self.first)) + "]"
        parts = [
            f"{self.count:,} of {self.total:,} values differ, first at {at}: {self.a} | {self.b}"
        ]
        parts += [f"largest difference {self.largest:.3g}"] if self.largest is not None else []
        parts += [f"{self.ulp:,} ulp"] if self.ulp is not None else []
        return ", ".join(parts)


def compare(a: memoryview, b: memoryview, slot: Slot) -> Difference | None:
    """How two tensors of one dtype and shape differ; None if they are bit-identical."""
    if a == b:
        return None
    spec = slot.spec
    unsigned, bits = _FLOATS.get(spec.dtype, (_PLAIN.get(spec.dtype, "|u1"), 0))
    one, other = np.frombuffer(a, unsigned), np.frombuffer(b, unsigned)
    raw = _raw(one) != _raw(other)
    places = np.flatnonzero(raw)
    first = np.unravel_index(int(places[0]), spec.shape) if spec.shape else ()
    one, other = one[places], other[places]
    shown = _DECODE.get(spec.dtype, _same)
    values, others = shown(one), shown(other)
    return Difference(
        first=tuple(int(index) for index in first),
        count=len(places),
        total=raw.size,
        a=str(values[0]),
        b=str(others[0]),
        largest=_largest(values, others, spec.dtype),
        ulp=_ulp(one, other, bits) if bits else None,
    )


def _same(bits: Array) -> Array:
    return bits


def _raw(values: Array) -> Array:
    """Bit patterns: NaN equals the same NaN, and -0.0 is not 0.0."""
    return values.view("<u8") if values.dtype.kind == "c" else values


def _largest(a: Array, b: Array, dtype: str) -> float | None:
    """Over the pairs that are finite; None if there are none, or the type is of bits only."""
    if dtype.startswith("F8") or dtype == "BOOL":
        return None
    wide = "c16" if a.dtype.kind == "c" else "f8"
    both = np.isfinite(a) & np.isfinite(b)
    if not both.any():
        return None
    return float(np.abs(a[both].astype(wide) - b[both].astype(wide)).max())


def _ulp(a: Array, b: Array, bits: int) -> int:
    ordered = [_ordered(values, bits) for values in (a, b)]
    low, high = np.minimum(*ordered), np.maximum(*ordered)
    return int((high - low).max())


def _ordered(values: Array, bits: int) -> npt.NDArray[np.uint64]:
    """Bit patterns as unsigned numbers that sort as the floats do."""
    wide = values.astype(np.uint64)
    sign, mask = np.uint64(1 << (bits - 1)), np.uint64((1 << bits) - 1)
    negative = (wide & sign) != 0
    return np.where(negative, (~wide) & mask, wide | sign).astype(np.uint64)
