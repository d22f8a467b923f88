"""Digests that run at memory speed and combine.

CRC64NVME by awscrt (object stores verify and keep the same value); zlib's CRC-32 where awscrt is
missing. The algorithm is always recorded beside the value. A payload is read once: the pieces
between part borders and tensor borders are hashed, parts, tensors and the whole are combined.
Combining CRC-32 follows zlib's crc32_combine (multiplication by x^(8n) modulo the polynomial).
"""

# ruff: noqa: N818 - errors are named for what happened
from __future__ import annotations

import functools
import itertools
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

MIB = 1 << 20
MIN_PART = 16 * MIB
MAX_PARTS = 9000  # S3 allows 10,000 parts
CRC64NVME = "crc64nvme"
CRC32 = "crc32"

Buffer = bytes | bytearray | memoryview


class AlgorithmUnavailable(Exception):
    """The digest's algorithm is unknown here, or its library is not installed."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A combinable checksum: `combine(a, b, n)` is the value of A+B where B has n bytes."""

    name: str
    hex_digits: int
    update: Callable[[Buffer, int], int]
    combine: Callable[[int, int, int], int]

    def hex(self, value: int) -> str:
        return f"{value:0{self.hex_digits}x}"

    def of(self, data: Buffer) -> str:
        """Hex digest of `data`."""
        return self.hex(self.update(data, 0))


@dataclass(frozen=True, slots=True)
class Digests:
    """Digests of one object: `whole` of all `size` bytes, `parts` of each `part_size` bytes."""

    algorithm: str
    size: int
    part_size: int
    parts: tuple[str, ...]
    whole: str
    tensors: Mapping[str, str]

    def part_ranges(self) -> list[tuple[int, int]]:
        """[start, end) of every part; the last one may be shorter, an empty object has none."""
        return part_ranges(self.size, self.part_size)


@functools.cache
def algorithm(name: str) -> Algorithm:
    """The algorithm called `name`; raises AlgorithmUnavailable with the remedy."""
    if name == CRC32:
        return Algorithm(CRC32, 8, zlib.crc32, _combine_crc32)
    if name != CRC64NVME:
        raise AlgorithmUnavailable(f"unknown digest algorithm {name!r}: upgrade spot-training")
    try:
        from awscrt import checksums  # noqa: PLC0415 - optional, costs 12 MB
    except ImportError as error:
        raise AlgorithmUnavailable(
            "this checkpoint is digested with crc64nvme: pip install 'spot-training[fast]'"
        ) from error
    return Algorithm(CRC64NVME, 16, checksums.crc64nvme, checksums.combine_crc64nvme)


def best_algorithm() -> str:
    """The name of the fastest algorithm that is installed."""
    try:
        return algorithm(CRC64NVME).name
    except AlgorithmUnavailable:
        return CRC32


def part_size_for(size: int) -> int:
    """Bytes per part: 16 MiB, more (in whole MiB) only where 9000 parts would not do."""
    return max(MIN_PART, -(-size // (MAX_PARTS * MIB)) * MIB)


def part_ranges(size: int, part_size: int) -> list[tuple[int, int]]:
    """[start, end) of every part of an object of `size` bytes."""
    return [(start, min(start + part_size, size)) for start in range(0, size, part_size)]


def digest_payload(
    data: Buffer,
    *,
    tensors: Iterable[tuple[str, int, int]] = (),
    part_size: int | None = None,
    algorithm_name: str | None = None,
) -> Digests:
    """Digests of `data` in one pass over its bytes.

    `tensors` are (name, start, end) in bytes of `data`, ascending and without overlap.
    Raises ValueError for ranges that are not.
    """
    view = memoryview(data).cast("B")
    chosen = algorithm(algorithm_name or best_algorithm())
    size = part_size or part_size_for(len(view))
    named = list(tensors)
    _expect_disjoint(named, len(view))
    pieces = _hash_pieces(chosen, view, _borders(len(view), size, named))
    parts = [_join(chosen, pieces, start, end) for start, end in part_ranges(len(view), size)]
    return Digests(
        algorithm=chosen.name,
        size=len(view),
        part_size=size,
        parts=tuple(chosen.hex(value) for value in parts),
        whole=chosen.hex(_join(chosen, pieces, 0, len(view))),
        tensors={name: chosen.hex(_join(chosen, pieces, a, b)) for name, a, b in named},
    )


def combined(algorithm_name: str, size: int, part_size: int, parts: Sequence[str]) -> str:
    """The digest of the whole by the digests of its parts; raises ValueError if one is missing."""
    chosen = algorithm(algorithm_name)
    ranges = part_ranges(size, part_size)
    if len(ranges) != len(parts):
        raise ValueError(f"{len(parts)} part digests for {len(ranges)} parts")
    value = 0
    for (start, end), part in zip(ranges, parts, strict=True):
        value = chosen.combine(value, int(part, 16), end - start)
    return chosen.hex(value)


def _borders(size: int, part_size: int, tensors: Sequence[tuple[str, int, int]]) -> list[int]:
    borders = {0, size, *range(0, size, part_size)}
    for _, start, end in tensors:
        borders |= {start, end}
    return sorted(borders)


def _expect_disjoint(tensors: Sequence[tuple[str, int, int]], size: int) -> None:
    previous = 0
    for name, start, end in tensors:
        if not previous <= start <= end <= size:
            raise ValueError(f"tensor {name!r} at [{start}, {end}) overlaps or leaves the payload")
        previous = end


def _hash_pieces(
    chosen: Algorithm, view: memoryview, borders: Sequence[int]
) -> dict[int, tuple[int, int]]:
    """start -> (end, value) of every piece between two borders."""
    return {
        start: (end, chosen.update(view[start:end], 0))
        for start, end in itertools.pairwise(borders)
    }


def _join(chosen: Algorithm, pieces: Mapping[int, tuple[int, int]], start: int, end: int) -> int:
    value = 0
    while start < end:
        piece_end, piece = pieces[start]
        value = chosen.combine(value, piece, piece_end - start)
        start = piece_end
    return value


_CRC32_POLYNOMIAL = 0xEDB88320


def _combine_crc32(first: int, second: int, second_bytes: int) -> int:
    return _multiply(_power_of_x(8 * second_bytes), first) ^ second


def _multiply(a: int, b: int) -> int:
    """a*b modulo the CRC-32 polynomial, both bit-reflected."""
    product = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = (b >> 1) ^ (_CRC32_POLYNOMIAL if b & 1 else 0)
    return product


@functools.lru_cache(maxsize=4096)
def _power_of_x(exponent: int) -> int:
    """x^exponent modulo the CRC-32 polynomial, by squaring."""
    result, square = 1 << 31, 1 << 30
    while exponent:
        if exponent & 1:
            result = _multiply(square, result)
        square = _multiply(square, square)
        exponent >>= 1
    return result
