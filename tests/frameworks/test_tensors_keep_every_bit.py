"""Torch tensors through a snapshot's bytes: dtypes, shapes, memory layouts, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import safetensors.torch
import torch
from kit.moving import moved, of_extras, snapshot_of
from spot_training import snapshots
from spot_training.checkpoint import layout
from spot_training.checkpoint.codec import UnsupportedState

DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.int64,
    torch.int32, torch.int16, torch.int8, torch.uint64, torch.uint32, torch.uint16, torch.uint8,
    torch.bool, torch.float8_e4m3fn, torch.float8_e5m2,
]  # fmt: skip


def random_bits(dtype: Any, *shape: int) -> Any:
    """A tensor of arbitrary bits: NaN with payloads, infinities, subnormal numbers."""
    size = torch.empty(shape, dtype=dtype).numel() * dtype.itemsize
    bits = torch.randint(0, 2 if dtype is torch.bool else 256, (size,), dtype=torch.uint8)
    return bits.view(dtype).view(shape)


def same_bits(one: Any, other: Any) -> bool:
    return bool(
        one.dtype == other.dtype
        and one.shape == other.shape
        and torch.equal(one.contiguous().view(-1).view(torch.uint8),
                        other.contiguous().view(-1).view(torch.uint8))
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(3)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (5, 7), (2, 0, 3)])
def test_every_dtype_and_shape(dtype: Any, shape: tuple[int, ...]) -> None:
    value = random_bits(dtype, *shape)
    target = {"t": torch.zeros(shape, dtype=dtype), "other": None}
    held = target["t"]
    assert moved(of_extras({"t": value, "other": value.clone()}), of_extras(target)) == []
    assert target["t"] is held
    assert same_bits(held, value)
    assert same_bits(target["other"], value)


STRIDED = {
    "transposed": lambda: torch.randn(4, 6).t(),
    "every second": lambda: torch.randn(9)[::2],
    "expanded": lambda: torch.randn(3, 1).expand(3, 4),
    "channels last": lambda: torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "conjugated": lambda: torch.randn(3, dtype=torch.complex64).conj(),
    "negated": lambda: torch.randn(3, dtype=torch.complex64).conj().imag,
    "narrowed": lambda: torch.randn(6, 4)[2:5],
    "bfloat16": lambda: torch.randn(4, 6, dtype=torch.bfloat16).t(),
}


@pytest.mark.parametrize("name", STRIDED)
def test_any_place_in_memory(name: str) -> None:
    value = STRIDED[name]()
    target: dict[str, Any] = {}
    assert moved(of_extras({"t": value}), of_extras(target)) == []
    assert torch.equal(target["t"], value)


def test_a_number_cut_out_of_a_matrix_is_put_and_compared() -> None:
    """Its strides are those of the matrix although it is contiguous."""
    cut = torch.zeros(3, 3)[:1, :1].t()
    assert cut.is_contiguous()
    assert moved(of_extras({"t": torch.ones(1, 1)}), of_extras({"t": cut})) == []
    assert moved(of_extras({"t": cut}), of_extras({})) == []
    assert cut.tolist() == [[1]]


def test_what_is_loaded_is_memory_of_its_own() -> None:
    payload = snapshot_of(of_extras({"t": torch.ones(3)}))
    before = bytes(payload)
    stored, plain = snapshots.read(payload)
    target: dict[str, Any] = {}
    of_extras(target).restore(plain, stored)
    target["t"] += 1
    assert target["t"].tolist() == [2, 2, 2]
    assert bytes(payload) == before


def test_any_safetensors_reader_opens_it(tmp_path: Any) -> None:
    value = random_bits(torch.bfloat16, 3, 5)
    (tmp_path / "x.safetensors").write_bytes(snapshot_of(of_extras({"t": value})))
    found = safetensors.torch.load_file(tmp_path / "x.safetensors")
    assert same_bits(found["extras/t"], value)


def test_one_tensor_in_two_places_is_stored_once() -> None:
    value = torch.arange(4.0)
    state = of_extras({"both": {"a": value, "b": [value], "equal": value.clone()}})
    target: dict[str, Any] = {}
    names = set(layout.parse(snapshot_of(state)).specs())
    assert names == {"extras/both/a", "extras/both/equal", layout.STATE}
    assert moved(state, of_extras(target)) == []
    both = target["both"]
    assert both["a"] is both["b"][0]
    assert both["a"] is not both["equal"]


def test_nothing_of_the_state_is_copied_before_the_one_copy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    value, turned = torch.randn(100), torch.randn(10, 10).t()
    arrays, plain = of_extras({"t": value, "turned": turned}).capture()
    assert arrays["extras/t"].data_ptr() == value.data_ptr()

    def refuse(*_: object, **__: object) -> Any:
        raise AssertionError("a second copy")

    prepared = snapshots.Writer().prepare(arrays, plain)
    payload = memoryview(bytearray(prepared.bytes))
    for name in ("clone", "contiguous", "numpy", "cpu"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    prepared.write(payload)


@pytest.mark.parametrize(("value", "said"), [
    (torch.zeros(2, dtype=torch.complex128), "complex128 has no safetensors name"),
    (torch.zeros(2, 2).to_sparse(), "is not a plain tensor"),
    (torch.zeros(2, device="meta"), "has no values"),
])  # fmt: skip
def test_what_cannot_be_kept_is_refused_by_its_name(value: Any, said: str) -> None:
    with pytest.raises(UnsupportedState, match=rf"^extras/list/1: .*{said}"):
        of_extras({"list": [1, value]}).capture()
