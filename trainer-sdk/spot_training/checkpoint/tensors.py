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
_PACKAGES = {"torch": "spot_training.torch_state"}


class FrameworkMissing(ImportError):  # noqa: N818 - named for what happened
    """The checkpoint holds tensors of a framework that is not installed here."""


class Tensors(Protocol):
    """One framework's tensors."""

    @property
    def name(self) -> str:
        """How checkpoints call it."""

    def owns(self, value: object) -> bool:
        """Whether `value` is one of its tensors."""

    def spec(self, tensor: Any) -> Spec:
        """Dtype and shape; raises TypeError for a tensor that cannot be kept exactly."""

    def identity(self, tensor: Any) -> Hashable:
        """Equal for two tensors that are the same memory, seen the same way."""

    def write(self, payload: memoryview, placed: Sequence[tuple[Any, Slot]]) -> None:
        """Copies each tensor to its place; returns when all bytes are there."""

    def content(self, tensor: Any) -> memoryview:
        """The tensor's bytes in row-major order, for a digest."""

    def view(self, array: Array, dtype: str) -> Any:
        """A tensor over the stored bits in `array`, which nobody may write."""

    def copy(self, tensor: Any) -> Any:
        """The same values in memory of its own."""

    def put(self, target: Any, value: Any) -> bool:
        """Copies `value` into `target` if they are alike; returns whether they were."""


_KNOWN: dict[str, Tensors] = {}


def announce(kind: Tensors) -> None:
    """From now on its tensors are recognised."""
    _KNOWN[kind.name] = kind


def kind_of(value: object) -> Tensors | None:
    """The framework whose tensor `value` is; None for everything else."""
    for kind in _KNOWN.values():
        if kind.owns(value):
            return kind
    return None


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


def content_of(value: Any) -> memoryview:
    """The bytes of an array or a tensor in row-major order."""
    if isinstance(value, np.ndarray):
        flat: Any = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        return memoryview(flat)
    kind = kind_of(value)
    if kind is None:
        raise TypeError(f"{type(value).__name__} is neither an array nor a tensor")
    return kind.content(value)
