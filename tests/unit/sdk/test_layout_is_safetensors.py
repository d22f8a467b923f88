import json
import struct
from collections.abc import Callable

import numpy as np
import pytest
from kit.checkpoints import a_payload
from safetensors.numpy import load
from spot_training import snapshots
from spot_training.checkpoint import layout
from spot_training.checkpoint.codec import Array
from spot_training.checkpoint.records import Damaged, UnsupportedSchema

ARRAYS: dict[str, Array] = {
    "f4": np.arange(12, dtype="<f4").reshape(3, 4),
    "f8": np.array(2.5),
    "empty": np.zeros((0, 7)),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(20, dtype="<i2")[::3],
    "bool": np.array([True, False]),
    "c8": np.array([1 + 2j], dtype="<c8"),
    "é": np.array([1], dtype="u1"),
}


def test_any_reader_of_safetensors_opens_the_file() -> None:
    found = load(bytes(a_payload(ARRAYS)))
    found.pop(layout.STATE)
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_the_layout_stays_while_the_typed_state_grows() -> None:
    writer = snapshots.Writer()
    first = writer.prepare(ARRAYS, {"history": [1]})
    second = writer.prepare(ARRAYS, {"history": list(range(500))})
    assert second.layout is first.layout
    third = writer.prepare(ARRAYS, {"history": list(range(5000))})
    assert third.layout is not first.layout
    assert third.layout.header != first.layout.header


def test_a_changed_shape_gets_a_new_layout() -> None:
    writer = snapshots.Writer()
    first = writer.prepare({"w": np.zeros(3)}, {})
    assert writer.prepare({"w": np.zeros(4)}, {}).bytes == first.bytes + 8


def test_nothing_of_an_earlier_longer_state_remains() -> None:
    writer = snapshots.Writer()
    long = writer.prepare({}, {"text": "x" * 1000})
    short = writer.prepare({}, {"text": "y"})
    payload = memoryview(bytearray(long.bytes))
    long.write(payload)
    short.write(payload)
    fresh = memoryview(bytearray(short.bytes))
    short.write(fresh)
    assert payload == fresh
    assert snapshots.read(payload)[1]["text"] == "y"


def test_tensors_are_aligned_to_their_items() -> None:
    for slot in layout.parse(a_payload(ARRAYS)).slots:
        assert slot.start % np.dtype(layout._NUMPY[slot.spec.dtype]).itemsize == 0


@pytest.mark.parametrize("dtype", [">f8", "<c16", "S3", "O", "<M8[s]"])
def test_a_dtype_without_a_place_is_named(dtype: str) -> None:
    with pytest.raises(TypeError, match="arrays/w"):
        snapshots.Writer().prepare({"arrays/w": np.zeros(3, dtype=dtype)}, {})


def _with_header(change: Callable[[dict[str, dict[str, object]]], object]) -> memoryview:
    payload = bytes(a_payload())
    (length,) = struct.unpack_from("<Q", payload)
    header = json.loads(payload[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode().ljust(length)
    return memoryview(struct.pack("<Q", len(text)) + text + payload[8 + length :])


@pytest.mark.parametrize(
    "payload",
    [
        memoryview(b""),
        memoryview(b"1234567"),
        memoryview(struct.pack("<Q", 1 << 60)),
        memoryview(struct.pack("<Q", 2) + b"[]"),
        memoryview(struct.pack("<Q", 2) + b"{x"),
        a_payload()[:-1],
        memoryview(bytes(a_payload()) + b"x"),
        _with_header(lambda h: h["arrays/w"].update(data_offsets=[0, 25])),
        _with_header(lambda h: h["arrays/w"].update(data_offsets=[4, 28])),
        _with_header(lambda h: h["arrays/w"].update(shape=[2, -3])),
        _with_header(lambda h: h["arrays/w"].update(dtype="F128")),
        _with_header(lambda h: h["arrays/w"].pop("shape")),
    ],
)
def test_a_file_that_is_not_whole_is_damaged(payload: memoryview) -> None:
    with pytest.raises(Damaged):
        layout.parse(payload)


def test_a_typed_state_longer_than_its_tensor_is_damaged() -> None:
    payload = memoryview(bytearray(a_payload()))
    parsed = layout.parse(payload)
    struct.pack_into("<Q", payload, parsed.slots[-1].start, 1 << 40)
    with pytest.raises(Damaged, match="claims"):
        parsed.state(payload)


def test_a_snapshot_of_another_schema_is_refused() -> None:
    payload = a_payload(plain={"schema": 2, "objects": {}, "extras": {}})
    with pytest.raises(UnsupportedSchema, match="upgrade"):
        snapshots.read(payload)
