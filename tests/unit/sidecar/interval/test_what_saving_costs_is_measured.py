"""Medians of the last saves, the trainer's rhythm beside them, and when uploads are held back."""

from dataclasses import replace
from typing import Any

import pytest
from spot_sidecar.interval.costs import KEPT, Costs, Measured, Save, from_json, to_json
from spot_sidecar.interval.slowdown import LEAST_STEPS, SlowdownMeter
from spot_sidecar.interval.upload_throttle import PROBE_EVERY, Held, held_rate
from spot_training.progress import Progress

MEASURED = Measured(
    stall=1.0, latency=12.0, commit=2.0, bytes=1000, bytes_per_second=100.0,
    saves=5, slowdown=0.1, step=0.5,
)  # fmt: skip
HELD = Held(
    interval=200.0, max_lost_work=None, size=1000, reason="periodic", since_full_speed=0,
    hurried=False,
)  # fmt: skip


def a_save(stall: float = 1.0, latency: float = 12.0, *, throttled: bool = False) -> Save:
    return Save(stall=stall, latency=latency, upload=10.0, bytes=1000, throttled=throttled)


def found(costs: Costs) -> Measured:
    measured = costs.measured()
    assert measured is not None
    return measured


def test_nothing_is_known_before_the_first_save() -> None:
    assert Costs().measured() is None


def test_the_first_stall_counts_only_until_there_is_a_second() -> None:
    costs = Costs()
    costs.saw_save(a_save(stall=9.0))
    assert found(costs).stall == 9.0
    costs.saw_save(a_save(stall=1.0))
    costs.saw_save(a_save(stall=3.0))
    assert found(costs).stall == 2.0


def test_figures_are_medians_of_the_last_saves() -> None:
    costs = Costs()
    for latency in (1000.0, *([12.0] * KEPT), 500.0, 500.0):
        costs.saw_save(a_save(latency=latency))
    assert found(costs).latency == 12.0
    assert found(costs).commit == 2.0
    assert found(costs).bytes_per_second == 100.0
    assert found(costs).saves == KEPT + 3


def test_an_upload_held_back_says_nothing_of_latency() -> None:
    costs = Costs()
    costs.saw_save(a_save())
    costs.saw_save(a_save(latency=90.0, throttled=True))
    assert found(costs).latency == 12.0


def test_what_the_attempt_before_measured_is_where_this_one_begins() -> None:
    costs = Costs(MEASURED)
    assert found(costs) == MEASURED
    costs.saw_save(a_save(stall=50.0, latency=14.0))
    assert (found(costs).stall, found(costs).latency) == (1.0, 13.0)
    assert from_json(to_json(MEASURED)) == MEASURED
    assert from_json(to_json(replace(MEASURED, slowdown=None, step=None))).slowdown is None


def at(step: int, when: float, stall: float = 0.0) -> Progress:
    return Progress(step, 0, 0, when, stall)


def test_a_trainer_slowed_by_uploads_is_seen_to_be() -> None:
    slowdown_meter = SlowdownMeter(costs := Costs(MEASURED))
    slowdown_meter.upload_ends(at(10, 100.0))
    for k in range(8):
        start = 100.0 + k * 31
        slowdown_meter.upload_begins(at(10 + 20 * k + 10, start + 11.0, 1.0 * k + 1.0))
        slowdown_meter.upload_ends(at(10 + 20 * k + 20, start + 31.0, 1.0 * k + 1.0))
    assert found(costs).slowdown == pytest.approx(0.5)
    assert found(costs).step == pytest.approx(1.0)


def test_a_faster_step_beside_an_upload_is_noise() -> None:
    slowdown_meter = SlowdownMeter(costs := Costs(replace(MEASURED, slowdown=None)))
    slowdown_meter.upload_ends(at(10, 100.0))
    slowdown_meter.upload_begins(at(20, 110.0))
    slowdown_meter.upload_ends(at(40, 120.0))
    assert found(costs).slowdown == 0.0


@pytest.mark.parametrize("why", ["few steps", "held back", "busy", "no progress file"])
def test_what_cannot_be_compared_is_not(why: str) -> None:
    slowdown_meter = SlowdownMeter(costs := Costs(replace(MEASURED, slowdown=None)))
    slowdown_meter.upload_ends(at(10, 100.0))
    if why == "busy":
        slowdown_meter.disturbed()
    steps = LEAST_STEPS - 1 if why == "few steps" else 30
    slowdown_meter.upload_begins(None if why == "no progress file" else at(10 + steps, 130.0))
    slowdown_meter.upload_ends(at(60, 190.0), counts=why != "held back")
    assert found(costs).slowdown is None
    assert found(costs).slowing == 0.03


@pytest.mark.parametrize(("held", "measured", "rate"), [
    ({}, {}, 1000 / 98),
    ({"max_lost_work": 251.0}, {}, 1000 / 48),
    ({"max_lost_work": 215.0}, {}, None),
    ({"max_lost_work": 100.0}, {}, None),
    ({"interval": 24.0}, {}, None),
    ({"reason": "final"}, {}, None),
    ({"reason": "notice"}, {}, None),
    ({"hurried": True}, {}, None),
    ({"since_full_speed": PROBE_EVERY - 1}, {}, None),
    ({}, {"saves": 2}, None),
    ({}, {"slowdown": 0.01}, None),
    ({}, {"slowdown": None}, None),
])  # fmt: skip
def test_when_an_upload_is_held_back(
    held: dict[str, Any], measured: dict[str, Any], rate: float | None
) -> None:
    said = held_rate(replace(HELD, **held), replace(MEASURED, **measured))
    assert said == (None if rate is None else pytest.approx(rate))


def test_an_upload_is_not_held_back_before_its_cost_is_known() -> None:
    assert held_rate(HELD, None) is None
