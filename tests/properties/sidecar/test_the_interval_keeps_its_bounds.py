"""What holds of every interval, whatever was measured."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st
from spot_sidecar.interval.formula import SHORTEST, Inputs, choose, optimum, with_hysteresis

seconds = st.floats(0.0, 1e4)
shares = st.floats(0.0, 0.99)
rates = st.floats(1e-8, 1e-1)
inputs = st.builds(
    Inputs,
    stall=seconds,
    latency=seconds,
    slowdown=shares,
    step=seconds,
    rate=rates,
    saved=shares,
    max_lost_work=st.none() | st.floats(1.0, 1e5),
)
unbounded = inputs.map(lambda one: replace(one, max_lost_work=None))


@given(inputs, st.none() | st.floats(1.0, 1e5))
def test_no_more_than_tolerated_is_lost_whenever_that_is_feasible(
    one: Inputs, current: float | None
) -> None:
    choice = choose(one)
    settled = choice.seconds if current is None else with_hysteresis(current, choice)
    worst = settled + one.stall + one.latency
    if one.max_lost_work is not None:
        least = max(SHORTEST, one.step, one.latency) + one.stall + one.latency
        assert (
            choice.feasible == (least <= one.max_lost_work + 1e-6)
            or abs(least - one.max_lost_work) < 1e-6
        )
        if choice.feasible:
            assert worst <= one.max_lost_work * (1 + 1e-9)


@given(inputs, st.floats(1.0, 1e5))
def test_no_save_begins_before_the_last_is_durable(one: Inputs, current: float) -> None:
    settled = with_hysteresis(current, choose(one))
    assert settled >= max(SHORTEST, one.step, one.latency)


@given(unbounded, st.floats(1.0, 100.0))
def test_what_costs_more_is_done_less_often(one: Inputs, factor: float) -> None:
    more = choose(replace(one, stall=one.stall * factor)).seconds
    assert more >= choose(one).seconds * (1 - 1e-9)


@given(inputs, st.floats(1.0, 100.0))
def test_more_interruptions_mean_more_saves(one: Inputs, factor: float) -> None:
    assert choose(replace(one, rate=one.rate * factor)).seconds <= choose(one).seconds * (1 + 1e-9)


@given(inputs, shares)
def test_more_saved_interruptions_mean_fewer_saves(one: Inputs, saved: float) -> None:
    low, high = sorted((one.saved, saved))
    rarely, often = choose(replace(one, saved=low)), choose(replace(one, saved=high))
    assert rarely.seconds <= often.seconds * (1 + 1e-9)


@given(inputs, st.floats(1.0, 1e5))
def test_who_tolerates_more_saves_no_more_often(one: Inputs, more: float) -> None:
    assume(one.max_lost_work is not None)
    assert one.max_lost_work is not None
    wider = replace(one, max_lost_work=one.max_lost_work + more)
    assert choose(wider).seconds >= choose(one).seconds * (1 - 1e-9)


@given(st.floats(1e-6, 1e5), rates, shares)
def test_the_optimum_is_between_nothing_and_the_mean_time(
    cost: float, rate: float, saved: float
) -> None:
    assert 0 < optimum(cost, rate, saved) <= 1 / (rate * (1 - saved))


@given(inputs, st.floats(1.0, 1e5), st.floats(0.95, 1.05))
def test_an_interval_once_settled_does_not_wander_with_noise(
    one: Inputs, current: float, noise: float
) -> None:
    settled = with_hysteresis(current, choose(one))
    near = choose(replace(one, rate=one.rate * noise))
    assume(near.longest is None)
    again = with_hysteresis(settled, near)
    assert again == settled or abs(near.seconds - settled) > 0.2 * settled
