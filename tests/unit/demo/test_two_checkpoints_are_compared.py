"""The demo's last claim: the interrupted run's state is the uninterrupted one's, to the bit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from demo.proof import same_bits
from safetensors.numpy import load
from spot_training.checkpoint.layout import plan, spec_of

Object = dict[str, Any]

WEIGHTS = np.arange(6, dtype="<f4").reshape(2, 3)
STATE: Object = {"position": {"step": 12}, "rng": {"key": 7}}


def a_checkpoint(
    arrays: Object | None = None, state: Object | None = None, *, planned_for: int = 0
) -> Object:
    """A file of the format, as any safetensors reader opens it.

    `planned_for`: bytes of typed state that the run's first save had.
    """
    held = {"arrays/w": WEIGHTS} | (arrays or {})
    text = json.dumps(STATE | (state or {})).encode()
    specs = {name: spec_of(array) for name, array in held.items()}
    layout = plan(specs, state_bytes=max(planned_for, len(text)))
    payload = bytearray(layout.size)
    layout.write(memoryview(payload), held, text)
    read: Object = load(bytes(payload))
    return read


def test_equal_checkpoints_are_told_as_such() -> None:
    same, figures = same_bits(a_checkpoint(), a_checkpoint())
    assert same
    assert figures.startswith("2 tensors, "), "the typed state is compared as well"
    assert figures.endswith("differing: none")


def test_the_room_for_the_typed_state_is_no_part_of_it() -> None:
    """An attempt plans its files by its own first save, so the room differs between attempts."""
    roomy = a_checkpoint(planned_for=9000)
    assert roomy["__spot_state__"].shape != a_checkpoint()["__spot_state__"].shape
    assert same_bits(roomy, a_checkpoint())[0]


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (a_checkpoint({"arrays/w": WEIGHTS + np.float32(1e-6)}), "arrays/w"),
        (a_checkpoint({"arrays/w": WEIGHTS.view("<i4")}), "arrays/w"),
        (a_checkpoint({"arrays/w": WEIGHTS.reshape(3, 2)}), "arrays/w"),
        (a_checkpoint({"arrays/m": WEIGHTS}), "arrays/m"),
        (a_checkpoint(state={"rng": {"key": 8}}), "__spot_state__"),
        (a_checkpoint(state={"position": {"step": 13}}), "__spot_state__"),
        ({}, "__spot_state__, arrays/w"),
    ],
)
def test_each_difference_is_found_and_named(other: Object, told: str) -> None:
    for pair in ((a_checkpoint(), other), (other, a_checkpoint())):
        same, figures = same_bits(*pair)
        assert not same
        assert figures.endswith(f"differing: {told}")


def test_numbers_that_are_equal_and_bits_that_are_not() -> None:
    zero, negative = np.zeros(1, "<f4"), -np.zeros(1, "<f4")
    assert not same_bits(a_checkpoint({"arrays/z": zero}), a_checkpoint({"arrays/z": negative}))[0]
    nothing = np.full(1, np.nan, "<f4")
    assert same_bits(a_checkpoint({"arrays/z": nothing}), a_checkpoint({"arrays/z": nothing}))[0]
    scalar = np.array(3.5, "<f4")
    assert same_bits(a_checkpoint({"arrays/z": scalar}), a_checkpoint({"arrays/z": scalar}))[0]


def test_nothing_is_equal_to_nothing() -> None:
    assert not same_bits({}, {})[0]
