"""What a checkpoint can hold beside numpy's arrays: the tensors of a framework.

The core knows frameworks by this protocol only. A kind announces itself when its package is
imported; what was written by one is read by the one of the same name.
"""

from __future__ import annotations

import importlib
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from spot_training.checkpoint.layout import Slot, Spec

Array = npt.NDArray[Any]
Order = Sequence[int]
"""An array's dimensions, from the outermost in memory to the innermost."""
_PACKAGES = {"torch": "spot_training.torch_state"}


class FrameworkMissing(ImportError):  # noqa: N818 - named for what happened
    """The checkpoint holds tensors of a framework that is not installed here."""


class Tensors(Protocol):
    """One framework's tensors."""

    @property
    def name(self) -> str:
        """How checkpoints call it."""

    def owns(self, value: type) -> bool:
        """Whether values of this type are its tensors."""

    def spec(self, tensor: Any) -> Spec:
        """Dtype and shape; raises TypeError for a tensor that cannot be kept exactly."""

    def identity(self, tensor: Any) -> Hashable:
        """Equal for two tensors that are the same memory, seen the same way."""

    def write(self, payload: memoryview, placed: Sequence[tuple[Any, Slot]]) -> None:
        """Copies each tensor to its place; returns when all bytes are there."""

    def content(self, tensor: Any) -> memoryview:
        """The tensor's bytes in row-major order, for a digest."""

    def head(self, tensor: Any, size: int) -> memoryview | None:
        """About the first `size` bytes, where that copies no more; None elsewhere."""

    def view(self, array: Array, dtype: str) -> Any:
        """A tensor over the stored bits in `array`, which nobody may write."""

    def order(self, tensor: Any) -> Order | None:
        """Its `memory_order`."""

    def room(self, tensor: Any, order: Order | None) -> Any:
        """A tensor like it in memory of its own, in that order (None: row-major); no values yet."""

    def fill(self, pairs: Sequence[tuple[Any, Any]]) -> None:
        """Copies each second tensor into the first, which is like it; called from any thread."""

    def put(self, target: Any, value: Any) -> bool:
        """Copies `value` into `target` if they are alike; returns whether they were."""


_KNOWN: dict[str, Tensors] = {}
_OF_TYPE: dict[type, Tensors | None] = {}
"""What `kind_of` found: it is asked several times for each of thousands of tensors."""


def announce(kind: Tensors) -> None:
    """From now on its tensors are recognised."""
    _KNOWN[kind.name] = kind
    _OF_TYPE.clear()


def kind_of(value: object) -> Tensors | None:
    """The framework whose tensor `value` is; None for everything else."""
    of = type(value)
    if of not in _OF_TYPE:
        _OF_TYPE[of] = next((kind for kind in _KNOWN.values() if kind.owns(of)), None)
    return _OF_TYPE[of]


def kind_named(name: str) -> Tensors:
    """The framework called `name`, imported if need be; raises FrameworkMissing, KeyError."""
    if name not in _KNOWN:
        try:
            importlib.import_module(_PACKAGES[name])
        except ModuleNotFoundError as error:
            raise FrameworkMissing(
                f"the checkpoint holds {name} tensors: pip install 'spot-training[{name}]'"
            ) from error
    return _KNOWN[name]


def memory_order(shape: Sequence[int], strides: Sequence[int]) -> Order | None:
    """How an array lies in memory; None if row-major. Dimensions of length 1 lie anywhere."""
    if 0 in shape:
        return None
    order = sorted(range(len(shape)), key=lambda dimension: -abs(strides[dimension]))
    long = [dimension for dimension in order if shape[dimension] != 1]
    return None if long == sorted(long) else order


def order_of(value: Any) -> Order | None:
    """The memory order of an array or a tensor: sums over it depend on that in their last bits."""
    if isinstance(value, np.ndarray):
        return memory_order(value.shape, value.strides)
    kind = kind_of(value)
    return kind.order(value) if kind else None


def copied(array: Array, order: Order | None) -> Array:
    """The same values in memory of their own, in that order (None: row-major)."""
    if order is None:
        return array.copy()
    return array.transpose(order).copy().transpose(np.argsort(order))


def content_of(value: Any) -> memoryview:
    """The bytes of an array or a tensor in row-major order."""
    if isinstance(value, np.ndarray):
        flat: Any = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        return memoryview(flat)
    kind = kind_of(value)
    if kind is None:
        raise TypeError(f"{type(value).__name__} is neither an array nor a tensor")
    return kind.content(value)
