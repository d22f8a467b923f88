"""Torch tensors as bytes: one memory copy into an arena, views of what was stored on the way back.

A contiguous tensor on the CPU is one memmove. Any other CPU tensor is copied by torch, which
gathers while it writes. A tensor on a GPU goes by asynchronous copies into the arena, whose
memory is pinned once; `write` returns after the copies' event, because optimizers change
tensors in place.
"""

from __future__ import annotations

import ctypes
import functools
import warnings
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import torch

from spot_training.checkpoint.layout import Slot, Spec
from spot_training.checkpoint.tensors import Array, Order, memory_order
from spot_training.torch_state.pinning import pinned

_NAMES: dict[Any, str] = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.complex64: "C64", torch.int64: "I64", torch.int32: "I32", torch.int16: "I16",
    torch.int8: "I8", torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16",
    torch.uint8: "U8", torch.bool: "BOOL", torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
}  # fmt: skip
_DTYPES = {name: dtype for dtype, name in _NAMES.items()}
_PLAIN = (torch.Tensor, torch.nn.Parameter)


class TorchTensors:
    """How the core sees torch's tensors."""

    name = "torch"

    def owns(self, value: type) -> bool:
        return issubclass(value, torch.Tensor)

    def spec(self, tensor: Any) -> Spec:
        """Raises TypeError for dtypes that safetensors lacks, and for what is not plain memory."""
        name = _NAMES.get(tensor.dtype)
        plain = type(tensor) in _PLAIN and tensor.layout is torch.strided
        if name is None or not plain or tensor.is_meta:
            raise TypeError(_why_not(tensor))
        return _spec(name, tensor.shape)

    def identity(self, tensor: Any) -> Hashable:
        if not tensor.numel():
            return id(tensor)
        return (tensor.data_ptr(), tensor.device, tensor.dtype, tensor.shape, tensor.stride(),
                tensor.is_conj(), tensor.is_neg())  # fmt: skip

    def write(self, payload: memoryview, placed: Sequence[tuple[Any, Slot]]) -> None:
        raw = (ctypes.c_char * len(payload)).from_buffer(payload)
        base = ctypes.addressof(raw)
        devices: set[Any] = set()
        with torch.no_grad():
            for tensor, slot in placed:
                if _is_flat(tensor):
                    ctypes.memmove(base + slot.start, tensor.data_ptr(), slot.end - slot.start)
                elif tensor.numel():
                    if tensor.is_cuda and tensor.device not in devices:
                        devices.add(tensor.device)
                        pinned(base, len(payload))
                    _over(payload[slot.start : slot.end], tensor.dtype).view(tensor.shape).copy_(
                        tensor, non_blocking=tensor.is_cuda
                    )
        for device in devices:
            torch.cuda.current_stream(device).synchronize()

    def content(self, tensor: Any) -> memoryview:
        dense = tensor.detach().to("cpu").resolve_conj().resolve_neg().contiguous()
        flat = dense.as_strided((dense.numel(),), (1,))  # strides of length 1 may be anything
        return memoryview(flat.view(torch.uint8).numpy())

    def head(self, tensor: Any, size: int) -> memoryview | None:
        if type(tensor) not in _PLAIN or not tensor.numel() or not _is_flat(tensor):
            return None
        return self.content(tensor.detach().view(-1)[: -(-size // tensor.itemsize)])

    def view(self, array: Array, dtype: str) -> Any:
        bits: Any = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        return _over(memoryview(bits), _DTYPES[dtype]).view(array.shape)

    def order(self, tensor: Any) -> Order | None:
        if tensor.is_contiguous():
            return None
        return memory_order(tensor.shape, tensor.stride())

    def room(self, tensor: Any, order: Order | None) -> Any:
        if order is None:
            return torch.empty_like(tensor)
        return torch.empty_permuted(tensor.shape, tuple(order), dtype=tensor.dtype)

    def fill(self, pairs: Sequence[tuple[Any, Any]]) -> None:
        with torch.no_grad():
            for room, tensor in pairs:
                room.copy_(tensor)

    def put(self, target: Any, value: Any) -> bool:
        if not isinstance(value, torch.Tensor) or self.spec(value) != self.spec(target):
            return False
        with torch.no_grad():
            target.copy_(value)
        return True


def _why_not(tensor: Any) -> str:
    """Why a tensor cannot be kept."""
    if isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin):
        return "a lazy module has not seen its first batch: run one before resume()"
    if tensor.is_meta:
        return "a tensor on the meta device has no values: module.to_empty() first"
    if tensor.dtype not in _NAMES:
        return f"{tensor.dtype} has no safetensors name; convert the tensor"
    return (
        f"a {type(tensor).__name__} of layout {tensor.layout} on {tensor.device} is not a plain "
        "tensor; keep a dense one"
    )


@functools.lru_cache(maxsize=65536)
def _spec(dtype: str, shape: Sequence[int]) -> Spec:
    """One object for what is alike: states of thousands of tensors are compared at every save."""
    return Spec(dtype, tuple(shape))


def _is_flat(tensor: Any) -> bool:
    """Whether its bytes lie in the CPU's memory as they are to be written."""
    return tensor.is_cpu and tensor.is_contiguous() and not tensor.is_conj() and not tensor.is_neg()


def _over(content: memoryview, dtype: Any) -> Any:
    """A flat tensor over memory that stays as long as the tensor does."""
    if not len(content):
        return torch.empty(0, dtype=dtype)
    with warnings.catch_warnings():
        # Stored bits are read-only memory; torch warns of writing, which nobody does.
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(np.frombuffer(content, np.uint8)).view(dtype)
