import random
from typing import Any

import numpy as np
import pytest
from spot_training.checkpoint.digest import best_algorithm, digest_payload
from spot_training.state import TrainingState, WrongState


class Optimizer:
    """Keeps moments by int keys, as torch's optimizers do; may load badly."""

    def __init__(self, value: float, cast: str | None = None) -> None:
        self.state: dict[int, Any] = {0: {"m": np.full(3, value, dtype="f4"), "step": 1}}
        self.cast = cast

    def state_dict(self) -> dict[str, Any]:
        return {"state": self.state, "lr": 0.1}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state = state["state"]
        if self.cast:
            moment = self.state[0]["m"]
            self.state[0]["m"] = moment.astype(self.cast).astype("f4")


def digests(arrays: dict[str, Any]) -> dict[str, str]:
    return {
        name: digest_payload(np.ascontiguousarray(array).tobytes()).whole
        for name, array in arrays.items()
    }


def moved(source: TrainingState, target: TrainingState) -> list[str]:
    """Restores what `source` captured into `target`; returns the differences (V5)."""
    arrays, plain = source.capture()
    stored = {name: array.copy() for name, array in arrays.items()}
    target.restore(plain, stored)
    return target.differences(plain, digests(stored), "crc64nvme")


def test_arrays_keep_their_identity() -> None:
    w = np.zeros((2, 3))
    fortran = np.zeros((2, 3), order="F")
    strided = np.zeros(9, dtype="f4")[::3]
    source = {"w": np.ones((2, 3)), "n": {"f": np.full((2, 3), 2.0), "s": np.arange(3, dtype="f4")}}
    target = {"w": w, "n": {"f": fortran, "s": strided}}
    assert moved(TrainingState(arrays=source), TrainingState(arrays=target)) == []
    np.testing.assert_array_equal(w, 1)
    np.testing.assert_array_equal(fortran, 2)
    np.testing.assert_array_equal(strided, [0, 1, 2])


def test_objects_and_extras_come_back() -> None:
    source, target = Optimizer(5.0), Optimizer(0.0)
    ema = np.zeros(2)
    extras: dict[str, Any] = {"best": 1.0, "ema": ema, "new": "kept"}
    given = {"best": 0.5, "ema": np.ones(2), "history": [(1, b"x")]}
    assert moved(
        TrainingState(objects={"optimizer": source}, extras=given),
        TrainingState(objects={"optimizer": target}, extras=extras),
    ) == []  # fmt: skip
    np.testing.assert_array_equal(target.state[0]["m"], 5)
    assert extras["ema"] is ema
    np.testing.assert_array_equal(ema, 1)
    assert extras["best"] == 0.5
    assert extras["history"] == [(1, b"x")]
    assert extras["new"] == "kept"


def test_names_that_the_script_keeps_inside_the_extras_stay_true() -> None:
    ema: dict[str, Any] = {"w": np.zeros(2), "n": [np.zeros(3)]}
    history = [1, 2, 3]
    w, n = ema["w"], ema["n"][0]
    extras: dict[str, Any] = {"ema": ema, "history": history}
    given = {"ema": {"w": np.ones(2), "n": [np.ones(3)], "seen": 4}, "history": [5]}
    assert moved(TrainingState(extras=given), TrainingState(extras=extras)) == []
    assert [extras["ema"] is ema, extras["history"] is history] == [True, True]
    assert [ema["w"] is w, ema["n"][0] is n, ema["seen"], history] == [True, True, 4, [5]]
    assert [w.tolist(), n.tolist()] == [[1, 1], [1, 1, 1]]


def test_one_array_in_many_places_takes_one_value() -> None:
    zeros = np.zeros(2)
    extras: dict[str, Any] = {"history": [zeros] * 3}
    given = {"history": [np.full(2, 1.0), np.full(2, 2.0), np.full(2, 3.0)]}
    assert moved(TrainingState(extras=given), TrainingState(extras=extras)) == []
    assert [array[0] for array in extras["history"]] == [1, 2, 3]
    assert extras["history"][0] is zeros


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_arrays_come_back_in_their_order_in_memory(order: tuple[int, ...]) -> None:
    """Sums over them depend on it in their last bits."""
    value = np.arange(24.0).reshape(2, 3, 4).transpose(order)
    extras: dict[str, Any] = {}
    assert moved(TrainingState(extras={"a": value}), TrainingState(extras=extras)) == []
    np.testing.assert_array_equal(extras["a"], value)
    assert extras["a"].strides == value.strides
    assert extras["a"].base is not value.base


def test_generators_among_the_extras_go_on() -> None:
    source: dict[str, Any] = {"np": np.random.default_rng(1), "py": random.Random(2)}
    expected = [source["np"].random(), source["py"].random()]
    source = {"np": np.random.default_rng(1), "py": random.Random(2)}
    target: dict[str, Any] = {"np": np.random.default_rng(9), "py": random.Random(9)}
    generator = target["np"]
    assert moved(TrainingState(extras=source), TrainingState(extras=target)) == []
    assert target["np"] is generator
    assert [target["np"].random(), target["py"].random()] == expected


def test_a_tensor_that_loading_changed_is_named() -> None:
    assert moved(
        TrainingState(objects={"optimizer": Optimizer(1.0001)}),
        TrainingState(objects={"optimizer": Optimizer(0.0, cast="f2")}),
    ) == ["optimizer/state/0/m"]  # fmt: skip


def test_typed_state_that_loading_changed_is_named() -> None:
    class Forgetful(Optimizer):
        def load_state_dict(self, state: dict[str, Any]) -> None:
            super().load_state_dict(state)
            self.state[0]["step"] = 0

    assert moved(
        TrainingState(objects={"optimizer": Optimizer(1.0)}),
        TrainingState(objects={"optimizer": Forgetful(0.0)}),
    ) == ["optimizer"]  # fmt: skip


@pytest.mark.parametrize(("arrays", "said"), [
    ({"w": np.zeros(3)}, "arrays/w is float64[2] there and float64[3] here"),
    ({"w": np.zeros(2, dtype="f4")}, "float32[2] here"),
    ({}, "only the checkpoint has arrays/w"),
    ({"w": np.zeros(2), "b": np.zeros(1)}, "only the script has arrays/b"),
])  # fmt: skip
def test_another_script_is_refused_before_anything_changes(
    arrays: dict[str, Any], said: str
) -> None:
    captured, plain = TrainingState(arrays={"w": np.ones(2)}).capture()
    with pytest.raises(WrongState) as refusal:
        TrainingState(arrays=arrays).restore(plain, captured)
    assert said in str(refusal.value)
    for array in arrays.values():
        np.testing.assert_array_equal(array, 0)


def test_a_missing_object_is_named() -> None:
    captured, plain = TrainingState(objects={"optimizer": Optimizer(1.0)}).capture()
    with pytest.raises(WrongState, match="only the checkpoint has the object 'optimizer'"):
        TrainingState().restore(plain, captured)


def frozen() -> Any:
    array = np.zeros(2)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("value", [3, [1, 2], frozen()])
def test_arrays_must_be_writable_arrays(value: Any) -> None:
    with pytest.raises(TypeError, match="arrays/w must be a writable numpy array"):
        TrainingState(arrays={"w": value})


def test_objects_must_have_state() -> None:
    with pytest.raises(TypeError, match=r"model=int has no state_dict\(\)"):
        TrainingState(objects={"model": 3})


def test_what_a_framework_carries_is_saved_and_left_to_it() -> None:
    noted = {"logs": [1.5], "best": np.ones(2)}
    captured, plain = TrainingState(extras={"a": 1}, carried=lambda: noted).capture()
    assert plain["carried"]["logs"] == [1.5]
    np.testing.assert_array_equal(captured["carried/best"], np.ones(2))
    target = TrainingState(extras={}, carried=lambda: {"logs": []})
    target.restore(plain, captured)
    digests = {"carried/best": "of something else"}
    assert target.differences(plain, digests, best_algorithm()) == []


def test_without_a_framework_nothing_is_carried() -> None:
    assert "carried" not in TrainingState(extras={"a": 1}).capture()[1]
