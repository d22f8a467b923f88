"""Any nesting of tensors of any dtype, shape and order in memory, and plain values among them."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.moving import moved, of_extras

DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.int64,
    torch.int8, torch.uint16, torch.bool, torch.float8_e4m3fn,
]  # fmt: skip


@st.composite
def tensors(draw: st.DrawFn) -> Any:
    """Arbitrary bits, laid out as torch's own operations leave them."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    size = torch.empty(shape, dtype=dtype).numel() * dtype.itemsize
    high = 1 if dtype is torch.bool else 255
    content = draw(st.lists(st.integers(0, high), min_size=size, max_size=size))
    value = torch.tensor(content, dtype=torch.uint8).view(dtype).view(shape)
    value = value.permute(draw(st.permutations(range(len(shape)))))
    if value.dim() and draw(st.booleans()):
        value = value.narrow(0, 0, draw(st.integers(0, value.shape[0])))
    return value


states = st.recursive(
    st.one_of(tensors(), st.integers(), st.text(max_size=3), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), inner, max_size=3),
    ),
    max_leaves=8,
)


def same(one: Any, other: Any, *, order: bool = True) -> bool:
    """The same types, values and bits; with `order`, dense tensors lie in memory alike."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        pairs = [(one[key], other.get(key)) for key in one]
        return list(one) == list(other) and all(same(*pair, order=order) for pair in pairs)
    if isinstance(one, list | tuple):
        pairs = list(zip(one, other, strict=False))
        return len(one) == len(other) and all(same(*pair, order=order) for pair in pairs)
    if isinstance(one, torch.Tensor):
        alike = not order or steps(torch.empty_like(one)) == steps(other)
        return alike and bits(one) == bits(other)
    return bool(one == other)


def steps(tensor: Any) -> list[int]:
    """The strides that mean something."""
    if not tensor.numel():
        return []
    return [step for step, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1]


def bits(tensor: Any) -> tuple[Any, Any, bytes]:
    copy = torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor)
    return tensor.dtype, tensor.shape, bytes(copy.view(-1).view(torch.uint8).numpy())


@given(states)
@settings(max_examples=150, deadline=None)
def test_into_nothing(state: Any) -> None:
    extras: dict[str, Any] = {}
    assert moved(of_extras({"state": state}), of_extras(extras)) == []
    assert same(state, extras["state"])


@given(states, states)
@settings(max_examples=150, deadline=None)
def test_into_whatever_is_there(state: Any, there: Any) -> None:
    """What is alike is filled where it is, and keeps its own order in memory."""
    extras = {"state": there}
    assert moved(of_extras({"state": state}), of_extras(extras)) == []
    assert same(state, extras["state"], order=False)
