"""Whatever goes into the format comes out of it."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from spot_training import snapshots
from spot_training.checkpoint import codec, digest, layout, records
from spot_training.checkpoint.codec import Array

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(),
    st.builds(np.float32, st.floats(width=32)),
    st.builds(np.int64, st.integers(-(2**63), 2**63 - 1)),
)  # fmt: skip
hashable = st.one_of(st.booleans(), st.integers(), st.text(), st.binary(), st.tuples(st.integers()))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner), st.lists(inner).map(tuple), st.dictionaries(hashable, inner),
        st.dictionaries(st.text(), inner), st.frozensets(hashable),
    ),
    max_leaves=20,
)  # fmt: skip
arrays = hnp.arrays(
    dtype=st.sampled_from(["<f4", "<f8", "<f2", "<i8", "<i4", "|u1", "|b1", "<c8"]),
    shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6),
)
names = st.text(min_size=1, max_size=8).filter(lambda name: not name.startswith("__"))


def same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float | np.floating) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, float) and one == 0:
        return math.copysign(1, one) == math.copysign(1, other)
    return bool(one == other)


@given(values)
def test_typed_state(value: Any) -> None:
    assert same(codec.loads(codec.dumps(value)), value)


@given(st.dictionaries(names, arrays, max_size=6), values)
def test_snapshots(state: dict[str, Array], value: Any) -> None:
    prepared = snapshots.Writer().prepare(state, {"value": codec.to_plain(value)})
    payload = memoryview(bytearray(prepared.bytes))
    prepared.write(payload)
    found, plain = snapshots.read(payload)
    assert set(found) == set(state)
    for name, array in state.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()
    assert same(codec.from_plain(plain["value"]), value)


@pytest.mark.parametrize("name", ["crc64nvme", "crc32"])
@given(data=st.binary(max_size=2000), cuts=st.lists(st.integers(0, 2000), max_size=8),
       part_size=st.integers(1, 700))  # fmt: skip
def test_digests_of_pieces_are_those_of_the_bytes(
    name: str, data: bytes, cuts: list[int], part_size: int
) -> None:
    borders = sorted({min(cut, len(data)) for cut in cuts})
    tensors = [(str(a), a, b) for a, b in zip(borders[::2], borders[1::2], strict=False)]
    found = digest.digest_payload(data, tensors=tensors, part_size=part_size, algorithm_name=name)
    of = digest.algorithm(name).of
    assert found.whole == of(data)
    assert found.tensors == {tensor: of(data[a:b]) for tensor, a, b in tensors}
    assert digest.combined(name, len(data), part_size, found.parts) == found.whole


@given(st.binary(max_size=300))
def test_no_bytes_make_the_readers_fail_otherwise_than_by_saying_damaged(body: bytes) -> None:
    for read in (lambda: layout.parse(memoryview(body)), lambda: codec.loads(body)):
        try:
            read()
        except records.Damaged:
            continue


@given(st.data())
def test_a_damaged_header_is_noticed_or_harmless(data: st.DataObject) -> None:
    """A flipped bit in the header either is Damaged or leaves a layout inside the file."""
    prepared = snapshots.Writer().prepare({"w": np.arange(6.0), "b": np.ones(3, "<f4")}, {})
    payload = bytearray(prepared.bytes)
    prepared.write(memoryview(payload))
    at = data.draw(st.integers(0, len(prepared.layout.header) - 1))
    payload[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = layout.parse(memoryview(payload))
    except records.Damaged:
        return
    assert all(0 <= slot.start <= slot.end <= len(payload) for slot in found.slots)
