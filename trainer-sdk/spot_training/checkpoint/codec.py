"""Typed state <-> plain JSON data, without pickle on any path.

What goes in comes out with the same types: int keys, tuples, bytes, sets, numpy scalars and
arrays, a framework's tensors, NaN, Counter and OrderedDict survive, and what is one tensor in two
places is stored once and is one tensor again. A type that cannot be kept is refused by its path
when it is saved, never changed silently. Tagged values are objects with the key `$`.
"""

# ruff: noqa: N818 - errors are named for what happened
from __future__ import annotations

import base64
import json
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spot_training.checkpoint import tensors
from spot_training.checkpoint.parallel import for_each
from spot_training.checkpoint.records import Damaged
from spot_training.checkpoint.tensors import FrameworkMissing, Order, Tensors

Array = npt.NDArray[Any]
Pair = tuple[Any, Any]
"""A tensor without values, and the one that it is to hold."""
MAX_DEPTH = 100
_CHUNK = 16 << 20
_FILLING = 4  # threads; more would wait for the memory
_TAG = "$"
_BIG_INT_BITS = 1024  # beyond some thousand digits Python refuses decimal text
_DICTS: dict[type, str] = {dict: "dict", OrderedDict: "ordered", Counter: "counter"}
_SEQUENCES: dict[type, str] = {tuple: "tuple", set: "set", frozenset: "frozenset"}


class UnsupportedState(TypeError):
    """A value of a type that cannot be restored exactly; the message names its path."""


def dumps(value: Any) -> bytes:
    """The value as JSON text; arrays are written inline."""
    return text(to_plain(value))


def loads(body: bytes) -> Any:
    """The value that `dumps` wrote; raises Damaged for anything else."""
    return from_plain(parse(body))


def text(plain: Any) -> bytes:
    """Plain data as JSON, in the order it has."""
    return json.dumps(plain, separators=(",", ":"), allow_nan=False).encode("ascii")


def parse(body: bytes) -> Any:
    """Plain data of `text`; raises Damaged."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"the typed state is not JSON: {error}") from error


def to_plain(
    value: Any, *, arrays: MutableMapping[str, Any] | None = None, path: str = "state"
) -> Any:
    """Plain JSON data of `value`.

    With `arrays`, every array or tensor is put there under its path (`state/m/w`) and only referred
    to; else it is written inline. Raises UnsupportedState naming the path of what cannot be kept.
    """
    return _Encoder(arrays).encode(value, path, 0)


def from_plain(
    plain: Any,
    arrays: Mapping[str, Array] | None = None,
    *,
    orders: Mapping[str, Order] | None = None,
    borrow: bool = False,
) -> Any:
    """The value of `to_plain`, its arrays copied; raises Damaged for what it did not write.

    `orders` tells the memory order of those arrays that are not row-major. With `borrow` tensors
    are views of `arrays`: nobody may write or keep them. Raises FrameworkMissing for tensors of a
    framework that is not installed.
    """
    stored = _Stored(arrays or {}, orders or {}, borrow=borrow)
    try:
        value = _decode(plain, stored)
    except (Damaged, FrameworkMissing):
        raise
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise Damaged(f"the typed state cannot be read: {error!r}") from error
    stored.fill()
    return value


class _Encoder:
    def __init__(self, arrays: MutableMapping[str, Any] | None) -> None:
        self._arrays = arrays
        self._seen: dict[Hashable, str] = {}

    def encode(self, value: Any, path: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise UnsupportedState(f"{path}: nested deeper than {MAX_DEPTH}, or it contains itself")
        if value is None or type(value) in (bool, str):
            return value
        if type(value) in (int, float):
            return _number(value)
        if isinstance(value, np.ndarray):
            return self._array(value, path)
        if isinstance(value, np.generic):
            return _scalar(value, path)
        kind = tensors.kind_of(value)
        if kind is not None:
            return self._tensor(kind, value, path)
        return self._container(value, path, depth)

    def _container(self, value: Any, path: str, depth: int) -> Any:
        kind = type(value)
        if kind in _DICTS:
            return self._mapping(value, path, depth)
        if kind is list or kind in _SEQUENCES:
            return self._sequence(value, path, depth)
        if kind in (bytes, bytearray):
            return {_TAG: kind.__name__, "v": base64.b64encode(value).decode("ascii")}
        raise UnsupportedState(
            f"{path}: {kind.__module__}.{kind.__qualname__} cannot be saved exactly; "
            "keep numbers, strings, bytes, lists, tuples, dicts or numpy arrays there"
        )

    def _mapping(self, value: Mapping[Any, Any], path: str, depth: int) -> Any:
        if type(value) is dict and _TAG not in value and all(type(key) is str for key in value):
            return {
                key: self.encode(item, f"{path}/{key}", depth + 1) for key, item in value.items()
            }
        pairs = [
            [self.encode(key, f"{path}/{key!r}", depth + 1),
             self.encode(item, f"{path}/{key}", depth + 1)]
            for key, item in value.items()
        ]  # fmt: skip
        return {_TAG: _DICTS[type(value)], "v": pairs}

    def _sequence(self, value: Any, path: str, depth: int) -> Any:
        items = [
            self.encode(item, f"{path}/{index}", depth + 1) for index, item in enumerate(value)
        ]
        if type(value) is list:
            return items
        if type(value) in (set, frozenset):
            items.sort(key=text)
        return {_TAG: _SEQUENCES[type(value)], "v": items}

    def _array(self, value: Array, path: str) -> Any:
        _expect_plain_dtype(value.dtype, path)
        if type(value) is not np.ndarray:
            raise UnsupportedState(
                f"{path}: {type(value).__name__} is not a plain array; np.asarray()"
            )
        if self._arrays is None:
            content = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode("ascii")
            return {_TAG: "ndarray", "t": value.dtype.str, "s": list(value.shape), "v": content}
        self._keep(value, path)
        return {_TAG: "array", "v": path}

    def _tensor(self, kind: Tensors, value: Any, path: str) -> Any:
        if self._arrays is None:
            raise UnsupportedState(f"{path}: a tensor cannot be written inline; convert it")
        try:
            dtype = kind.spec(value).dtype
        except TypeError as error:
            raise UnsupportedState(f"{path}: {error}") from error
        where = self._seen.setdefault((kind.name, kind.identity(value)), path)
        if where == path:
            self._keep(value, path)
        return {_TAG: "tensor", "k": kind.name, "t": dtype, "v": where}

    def _keep(self, value: Any, path: str) -> None:
        assert self._arrays is not None  # noqa: S101 - for the type checker
        if path in self._arrays:
            raise UnsupportedState(f"{path}: two arrays have this path; rename one")
        self._arrays[path] = value


def _number(value: float) -> Any:
    if isinstance(value, int):
        small = value.bit_length() <= _BIG_INT_BITS
        return value if small else {_TAG: "int", "v": hex(value)}
    return value if math.isfinite(value) else {_TAG: "float", "v": repr(value)}


def _scalar(value: np.generic, path: str) -> Any:
    _expect_plain_dtype(value.dtype, path)
    content = base64.b64encode(value.tobytes()).decode("ascii")
    return {_TAG: "scalar", "t": value.dtype.str, "v": content}


def _expect_plain_dtype(dtype: np.dtype[Any], path: str) -> None:
    if dtype.kind not in "biufcmM" or dtype.itemsize > 16:
        raise UnsupportedState(f"{path}: arrays of dtype {dtype} cannot be saved exactly")


class _Stored:
    """The arrays that typed state refers to."""

    def __init__(
        self, arrays: Mapping[str, Array], orders: Mapping[str, Order], *, borrow: bool
    ) -> None:
        self._arrays = arrays
        self._orders = orders
        self._borrow = borrow
        self._made: dict[str, Any] = {}
        self._empty: dict[str, list[Pair]] = {}

    def array(self, path: str) -> Array:
        """A copy of the array at this path."""
        return tensors.copied(self._arrays[path], self._orders.get(path))

    def tensor(self, kind_name: str, dtype: str, path: str) -> Any:
        """One tensor for each path, however often it is referred to."""
        if path not in self._made:
            kind = tensors.kind_named(kind_name)
            view = kind.view(self._arrays[path], dtype)
            order = self._orders.get(path)
            self._made[path] = view if self._borrow else kind.room(view, order)
            if not self._borrow:
                self._empty.setdefault(kind_name, []).append((self._made[path], view))
        return self._made[path]

    def fill(self) -> None:
        """Copies what the tensors hold, in several threads: new memory is slow to touch."""
        for kind_name, pairs in self._empty.items():
            kind = tensors.kind_named(kind_name)
            for_each(_chunks(pairs), kind.fill, at_once=_FILLING)


def _chunks(pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
    """The pairs in their order, in lists of about `_CHUNK` bytes."""
    chunk: list[Pair] = []
    size = 0
    for pair in pairs:
        chunk.append(pair)
        size += pair[1].nbytes
        if size >= _CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _decode(plain: Any, stored: _Stored) -> Any:
    if isinstance(plain, list):
        return [_decode(item, stored) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if _TAG not in plain:
        return {key: _decode(item, stored) for key, item in plain.items()}
    decoder = _DECODERS.get(plain[_TAG])
    if decoder is None:
        raise Damaged(f"the typed state has an unknown tag {plain[_TAG]!r}: upgrade spot-training")
    return decoder(plain, stored)


def _pairs(plain: Any, stored: _Stored) -> list[tuple[Any, Any]]:
    return [(_decode(key, stored), _decode(item, stored)) for key, item in plain["v"]]


def _inline(plain: Any) -> Array:
    content = np.frombuffer(base64.b64decode(plain["v"], validate=True), np.dtype(plain["t"]))
    return content.reshape(plain.get("s", ())).copy()


def _counter(plain: Any, stored: _Stored) -> Counter[Any]:
    counter: Counter[Any] = Counter()
    counter.update(dict(_pairs(plain, stored)))
    return counter


_DECODERS: dict[str, Callable[[Any, _Stored], Any]] = {
    "dict": lambda plain, stored: dict(_pairs(plain, stored)),
    "ordered": lambda plain, stored: OrderedDict(_pairs(plain, stored)),
    "counter": _counter,
    "tuple": lambda plain, stored: tuple(_decode(item, stored) for item in plain["v"]),
    "set": lambda plain, stored: {_decode(item, stored) for item in plain["v"]},
    "frozenset": lambda plain, stored: frozenset(_decode(item, stored) for item in plain["v"]),
    "bytes": lambda plain, _: base64.b64decode(plain["v"], validate=True),
    "bytearray": lambda plain, _: bytearray(base64.b64decode(plain["v"], validate=True)),
    "int": lambda plain, _: int(plain["v"], 16),
    "float": lambda plain, _: float(plain["v"]),
    "scalar": lambda plain, _: _inline(plain)[()],
    "ndarray": lambda plain, _: _inline(plain),
    "array": lambda plain, stored: stored.array(plain["v"]),
    "tensor": lambda plain, stored: stored.tensor(plain["k"], plain["t"], plain["v"]),
}
