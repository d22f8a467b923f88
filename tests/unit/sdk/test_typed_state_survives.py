import math
from collections import Counter, OrderedDict
from enum import IntEnum
from typing import Any

import numpy as np
import pytest
from spot_training.checkpoint import codec
from spot_training.checkpoint.records import Damaged


def expect_same(found: Any, value: Any) -> None:
    assert type(found) is type(value)
    if isinstance(value, np.ndarray | np.generic):
        assert found.dtype == value.dtype
        np.testing.assert_array_equal(found, value)
    elif isinstance(value, float) and math.isnan(value):
        assert math.isnan(found)
    elif isinstance(value, dict):
        assert list(found) == list(value)
        for key, item in value.items():
            expect_same(found[key], item)
    elif isinstance(value, list | tuple):
        assert len(found) == len(value)
        for one, other in zip(found, value, strict=True):
            expect_same(one, other)
    else:
        assert found == value


@pytest.mark.parametrize("value", [
    None, True, 0, -1, 1 << 64, -(1 << 5000), 0.1, -0.0, 5e-324, float("inf"), float("nan"),
    "", "é\u2028\x00", "\ud800", b"", b"\x00\xff", bytearray(b"x"),
    [], [1, [2]], (), (1, (2, [3])), {}, {"a": {"b": 1}}, {1: "x", "1": "y", (1, 2): None, None: 3},
    {"$": "tuple", "v": [1]}, {b"k": 1}, {1, 2}, frozenset({"a", ("b", 1)}),
    Counter({5: 2, 1: 0}), OrderedDict([("b", 1), ("a", 2)]),
    np.float32(1.5), np.int8(-3), np.bool_(True), np.float64("nan"),
    np.datetime64("2026-01-02", "s"),
    np.arange(6, dtype=">i2").reshape(2, 3), np.zeros((0, 3)), np.array(3 + 4j), np.array(7),
])  # fmt: skip
def test_types_and_values_come_back(value: Any) -> None:
    expect_same(codec.loads(codec.dumps(value)), value)


def test_a_multi_step_schedule_keeps_its_milestones() -> None:
    state = {"milestones": Counter({30: 1, 60: 1}), "gamma": 0.1, "last_epoch": 4, "_lr": [0.1]}
    expect_same(codec.loads(codec.dumps(state)), state)


class Level(IntEnum):
    LOW = 1


class Custom(dict):  # type: ignore[type-arg]
    pass


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"model": {"f": print}}, "state/model/f"),
        ([1, object()], "state/1"),
        ({"level": Level.LOW}, "state/level"),
        ({"d": Custom()}, "state/d"),
        ({"a": np.array([object()])}, "state/a"),
        ({"a": np.array(["text"])}, "state/a"),
        ({"a": np.ma.masked_array([1], mask=[True])}, "state/a"),
        ({1: {2: set}}, "state/1/2"),
    ],
)
def test_what_would_change_is_refused_by_its_path(value: Any, path: str) -> None:
    with pytest.raises(codec.UnsupportedState, match=f"^{path}: "):
        codec.dumps(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(codec.UnsupportedState, match="contains itself"):
        codec.dumps(loop)


def test_arrays_can_be_kept_apart() -> None:
    arrays: dict[str, codec.Array] = {}
    value = {"m": [np.arange(3), {"v": np.ones(2)}]}
    plain = codec.to_plain(value, arrays=arrays, path="optimizer")
    assert sorted(arrays) == ["optimizer/m/0", "optimizer/m/1/v"]
    assert arrays["optimizer/m/0"] is value["m"][0]
    expect_same(codec.from_plain(codec.parse(codec.text(plain)), arrays), value)


def test_two_arrays_of_one_path_are_refused() -> None:
    with pytest.raises(codec.UnsupportedState, match="two arrays"):
        codec.to_plain({"a/b": np.ones(1), "a": {"b": np.ones(1)}}, arrays={})


@pytest.mark.parametrize("body", [
    b"", b"{", b'{"$":"pickle","v":"x"}', b'{"$":"tuple"}', b'{"$":"bytes","v":"*"}',
    b'{"$":"array","v":"absent"}', b'{"$":"ndarray","t":"O","s":[1],"v":""}',
    b'{"$":"ndarray","t":"<f4","s":[9],"v":""}', b'{"$":"dict","v":[[[],1]]}', b'{"$":["x"]}',
])  # fmt: skip
def test_what_was_not_written_here_is_damaged(body: bytes) -> None:
    with pytest.raises(Damaged):
        codec.loads(body)
