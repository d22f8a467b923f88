import math

import numpy as np
import pytest
from spot_training.checkpoint.codec import Array
from spot_training.checkpoint.layout import Slot, Spec
from spot_training.cli.compare import plain, steps, values
from spot_training.cli.compare.report import Comparison, lines
from spot_training.steplog import Line

NAMES = {"float32": "F32", "float64": "F64", "float16": "F16", "int64": "I64", "complex64": "C64"}


def compared(a: Array, b: Array, dtype: str = "") -> values.Difference:
    """How they differ; they must."""
    found = difference(a, b, dtype)
    assert found is not None
    return found


def difference(a: Array, b: Array, dtype: str = "") -> values.Difference | None:
    slot = Slot("w", Spec(dtype or NAMES[str(a.dtype)], a.shape), 0, a.nbytes)
    return values.compare(memoryview(a.tobytes()), memoryview(b.tobytes()), slot)


def test_the_same_bits_are_equal_even_nan() -> None:
    a = np.array([1.0, math.nan], "<f4")
    assert difference(a, a.copy()) is None


def test_index_difference_and_ulp() -> None:
    a = np.zeros((2, 3), "<f4")
    b = a.copy()
    b[1, 0], b[1, 2] = 0.5, np.nextafter(np.float32(0), np.float32(1))
    found = compared(a, b)
    assert (found.first, found.count, found.total) == ((1, 0), 2, 6)
    assert found.largest == 0.5
    assert found.spelled().startswith("2 of 6 values differ, first at [1,0]: 0.0 | 0.5")


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
@pytest.mark.parametrize("base", [1.0, -1.0, 0.0])
def test_neighbours_are_one_ulp_apart(dtype: str, base: float) -> None:
    a = np.array([base], dtype)
    b = np.nextafter(a, np.array([9.0], dtype))
    assert compared(a, b).ulp == 1


def test_the_two_zeros_differ_by_one_place_only() -> None:
    found = compared(np.array([0.0], "<f8"), np.array([-0.0], "<f8"))
    assert (found.largest, found.ulp) == (0.0, 1)


def test_bfloat16_is_read_as_what_it_is() -> None:
    one, two = np.array([0x3F80], "<u2"), np.array([0x3F81], "<u2")
    found = compared(one, two, "BF16")
    assert (found.a, found.b, found.ulp) == ("1.0", "1.0078125", 1)


def test_integers_and_complex_numbers_have_no_ulp() -> None:
    found = compared(np.array([3, 5]), np.array([3, 9]))
    assert (found.first, found.largest, found.ulp) == ((1,), 4.0, None)
    imaginary = compared(np.array([1j], "<c8"), np.array([-1j], "<c8"))
    assert (imaginary.largest, imaginary.ulp) == (2.0, None)


def test_what_is_not_finite_has_no_distance() -> None:
    assert compared(np.array([math.nan]), np.array([1.0])).largest is None


def test_eight_bit_floats_are_compared_as_bits() -> None:
    found = compared(np.array([1], "|u1"), np.array([2], "|u1"), "F8_E4M3")
    assert (found.count, found.largest, found.ulp) == (1, None, None)


def test_scalars_have_an_index_too() -> None:
    assert compared(np.array(1.0), np.array(2.0)).first == ()


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ({"x": [1, {"y": 2}]}, {"x": [1, {"y": 3}]}, ["x/1/y: 2 | 3"]),
        ({"x": 1}, {}, ["x: 1 | missing"]),
        ({"x": 1}, {"x": True}, ["x: 1 | true"]),
        ({"x": [1]}, {"x": [1, 2]}, ["x: [1] | [1, 2]"]),
        ({"b": 1, "a": 1}, {"b": 2, "a": 2}, ["a: 1 | 2", "b: 1 | 2"]),
        ({"x": 1.0}, {"x": 1.0}, []),
    ],
)
def test_typed_state_is_compared_by_path(a: object, b: object, said: list[str]) -> None:
    assert list(plain.differences(a, b)) == said


def test_long_values_are_cut() -> None:
    (line,) = plain.differences({"x": "a" * 500}, {"x": "b"})
    assert len(line) < 80


def log(*told: tuple[int, float], attempt: int = 1) -> list[Line]:
    return [
        Line("step", attempt, step, 0.0, samples=step, metrics={"loss": loss})
        for step, loss in told
    ]


def test_the_first_step_that_differs_is_named() -> None:
    a, b = steps.by_step(log((1, 0.5), (2, 0.4))), steps.by_step(log((1, 0.5), (2, 0.41)))
    assert steps.compare(a, b).problem == (
        "step 2 is the first that differs: loss 0.4 (2 samples) in attempt 1 of A | "
        "loss 0.41 (2 samples) in attempt 1 of B"
    )


def test_a_step_done_again_has_to_come_out_the_same() -> None:
    a = steps.by_step(log((1, 0.5), (2, math.nan)))
    again = steps.by_step([*log((1, 0.5), (2, math.nan)), *log((2, math.nan), attempt=2)])
    assert steps.compare(a, again) == steps.Steps(compared=2, again=1)
    other = steps.by_step([*log((1, 0.5), (2, math.nan)), *log((2, 0.3), attempt=2)])
    assert "in attempt 2 of B" in steps.compare(a, other).problem


def test_the_report_says_what_differs_and_why() -> None:
    found = Comparison(
        a="whole a1-s9", b="cut a3-s9", equal=("w",), different=(("m", "1 of 6 values differ"),),
        state=("extras/began: 1 | 2",), steps=steps.Steps(9, 3),
    )  # fmt: skip
    said = lines(found)
    assert said[:8] == [
        "A  whole a1-s9",
        "B  cut a3-s9",
        "1 of 2 tensors bit-identical",
        "  m: 1 of 6 values differ",
        "typed state differs",
        "  extras/began: 1 | 2",
        "9 steps compared, 3 of them done again: the same metrics everywhere",
        "A and B differ; what usually causes it:",
    ]
    assert "a time or a path" in said[8]


def test_the_report_of_equals_is_short() -> None:
    assert lines(Comparison(a="x a1-s9", b="y a1-s9", equal=("w",))) == [
        "A  x a1-s9",
        "B  y a1-s9",
        "1 of 1 tensor bit-identical",
        "typed state identical",
        "A and B are bit-identical",
    ]


def test_many_differences_are_counted_not_listed() -> None:
    many = tuple((f"w{index}", "differs") for index in range(40))
    said = lines(Comparison(a="x", b="y", different=many))
    assert "  and 28 more" in said
