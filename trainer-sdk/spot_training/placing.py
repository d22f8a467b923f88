"""Restored values in the place of those that the script holds.

A script keeps names for what it passes to `resume` (`ema = {...}`), and goes on with them. So what
is alike is changed in place, down to the arrays and tensors in dicts and lists.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable
from itertools import chain, repeat
from typing import Any

import numpy as np

from spot_training.checkpoint.codec import Array
from spot_training.checkpoint.tensors import kind_of

_MAPPINGS = (dict, OrderedDict, Counter)


def placed(current: Any, value: Any) -> Any:
    """`current` with the content of `value` where they are alike, else `value`.

    What is one array in two places of `value` is one in the result. Nothing else may hold `value`.
    """
    return _Placing().put(current, value)


class _Placing:
    def __init__(self) -> None:
        self._filled: dict[Hashable, int] = {}
        self._of: dict[int, Any] = {}

    def put(self, current: Any, value: Any) -> Any:
        if _identity(current) is not None:
            return self._array(current, value)
        if type(value) is not type(current):
            return value
        if type(value) in _MAPPINGS:
            items = {key: self.put(current.get(key), item) for key, item in value.items()}
            current.clear()
            current.update(items)
            return current
        if type(value) is list:
            pairs = zip(chain(current, repeat(None)), value, strict=False)
            current[:] = [self.put(*pair) for pair in pairs]
            return current
        return value

    def _array(self, current: Any, value: Any) -> Any:
        """One place takes one value: a list may hold the same zeros ten times."""
        if id(value) not in self._of:
            free = self._filled.setdefault(_identity(current), id(value)) == id(value)
            self._of[id(value)] = current if free and _fill(current, value) else value
        return self._of[id(value)]


def same_spec(one: Array, other: Array) -> bool:
    """Whether one's bits are bits of the other."""
    return (one.shape, one.dtype) == (other.shape, other.dtype)


def _identity(array: Any) -> Hashable:
    """Equal for what is the same memory; None for what is not an array."""
    if isinstance(array, np.ndarray):
        return (array.ctypes.data, array.shape, array.strides) if array.flags.writeable else None
    kind = kind_of(array)
    return kind.identity(array) if kind else None


def _fill(current: Any, value: Any) -> bool:
    kind = kind_of(current)
    if kind is not None:
        return kind.put(current, value)
    if not isinstance(value, np.ndarray) or not same_spec(current, value):
        return False
    np.copyto(current, value)
    return True
