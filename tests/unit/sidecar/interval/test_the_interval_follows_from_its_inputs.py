"""The interval between checkpoints, for inputs as on a page of a textbook."""

import math
from dataclasses import replace
from typing import Any

import pytest
from spot_sidecar.interval.formula import (
    Choice,
    Inputs,
    Why,
    choose,
    fixed,
    optimum,
    with_hysteresis,
)

HOUR = 3600.0


def inputs(**changes: Any) -> Inputs:
    usual = Inputs(stall=5.0, latency=0.0, slowdown=0.0, step=0.0, rate=1 / HOUR, saved=0.0)
    return replace(usual, **changes)


@pytest.mark.parametrize(("hours", "minutes"), [(24, 117), (6, 57), (0.25, 9.1)])
def test_dalys_own_figures(hours: float, minutes: float) -> None:
    """Daly 2006, for a checkpoint of five minutes."""
    assert optimum(300.0, 1 / (hours * HOUR), 0.0) / 60 == pytest.approx(minutes, rel=0.01)


@pytest.mark.parametrize(("saved", "stretch"), [
    (0.5, 1.41), (0.8, 2.24), (0.9, 3.16), (0.95, 4.47), (0.99, 10.0),
])  # fmt: skip
def test_saved_interruptions_stretch_the_interval(saved: float, stretch: float) -> None:
    cost = 1e-6 * HOUR
    ratio = optimum(cost, 1 / HOUR, saved) / optimum(cost, 1 / HOUR, 0.0)
    assert ratio == pytest.approx(stretch, rel=0.01)


def test_where_every_interruption_is_saved_nothing_need_be() -> None:
    assert math.isinf(optimum(5.0, 1 / HOUR, 1.0))
    assert choose(inputs(saved=1.0)) == Choice(HOUR, Why.LONGEST, None, 5.0, None, feasible=True)


@pytest.mark.parametrize(("changes", "seconds", "why"), [
    ({}, 186.4, Why.OPTIMUM),
    ({"saved": 0.999999}, 3600.0, Why.LONGEST),
    ({"rate": 1.0}, 5.0 / 0.03, Why.OVERHEAD),
    ({"max_lost_work": 100.0}, 95.0, Why.MAX_LOST_WORK),
    ({"max_lost_work": 100.0, "latency": 20.0}, 75.0, Why.MAX_LOST_WORK),
    ({"max_lost_work": 100.0, "step": 10.0}, 85.0, Why.MAX_LOST_WORK),
    ({"max_lost_work": 100.0, "step": 60.0}, 60.0, Why.MAX_LOST_WORK),
    ({"rate": 1.0, "max_lost_work": 60.0}, 55.0, Why.MAX_LOST_WORK),
    ({"latency": 400.0}, 400.0, Why.UPLOAD),
    ({"latency": 400.0, "max_lost_work": 60.0}, 400.0, Why.UPLOAD),
    ({"step": 300.0}, 300.0, Why.STEP),
    ({"stall": 0.0}, 5.0, Why.SHORTEST),
])  # fmt: skip
def test_what_decides(changes: dict[str, float], seconds: float, why: Why) -> None:
    found = choose(inputs(**changes))
    assert found.why is why
    assert found.seconds == pytest.approx(seconds, rel=1e-3)


@pytest.mark.parametrize(("changes", "feasible"), [
    ({"max_lost_work": 10.0}, True),
    ({"max_lost_work": 9.9}, False),
    ({"max_lost_work": 45.0, "latency": 20.0}, True),
    ({"max_lost_work": 44.9, "latency": 20.0}, False),
    ({"max_lost_work": 35.0, "step": 30.0}, True),
    ({"max_lost_work": 34.0, "step": 30.0}, False),
    ({}, True),
])  # fmt: skip
def test_the_bound_is_feasible_if_a_save_can_be_durable_within_it(
    changes: dict[str, float], feasible: bool
) -> None:
    assert choose(inputs(**changes)).feasible is feasible


def test_a_fixed_interval_is_held_against_the_same_bound() -> None:
    bounded = inputs(max_lost_work=100.0)
    found = fixed(95.0, bounded)
    assert (found.seconds, found.why, found.longest) == (95.0, Why.FIXED, 95.0)
    assert found.feasible
    assert found.optimum == pytest.approx(186.4, rel=1e-3)
    assert not fixed(95.1, bounded).feasible
    assert not fixed(5.0, replace(bounded, latency=60.0)).feasible


@pytest.mark.parametrize(("current", "seconds", "expected"), [
    (100.0, 119.0, 100.0), (100.0, 81.0, 100.0), (100.0, 121.0, 121.0), (100.0, 79.0, 79.0),
])  # fmt: skip
def test_noise_changes_nothing(current: float, seconds: float, expected: float) -> None:
    choice = Choice(seconds, Why.OPTIMUM, seconds, 5.0, None, feasible=True)
    assert with_hysteresis(current, choice) == expected


def test_a_bound_is_kept_however_near() -> None:
    longest = Choice(95.0, Why.MAX_LOST_WORK, 99.0, 5.0, 95.0, feasible=True)
    assert with_hysteresis(100.0, longest) == 95.0
    shortest = Choice(105.0, Why.UPLOAD, 99.0, 105.0, None, feasible=True)
    assert with_hysteresis(100.0, shortest) == 105.0
