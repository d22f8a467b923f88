"""So many per second on average, and so many at once."""

import pytest
from kit.clock import HandClock
from spot_operator.control.rate import RateBudget, RateBudgets


@pytest.mark.parametrize(("per_second", "burst"), [(5.0, 10), (0.1, 5), (1 / 3, 1), (50.0, 500)])
def test_what_is_promised_to_be_free_is_free_then(per_second: float, burst: int) -> None:
    """Sums of fractions are not exact: a wait that no clock can show would be waited for ever."""
    clock = HandClock()
    budget = RateBudget(clock, per_second, burst)
    taken = 0
    for _ in range(burst + 200):
        wait = budget.take()
        if wait:
            assert wait > 1e-10
            clock.step(wait)
            assert budget.take() == 0.0
        taken += 1
    assert taken <= burst + clock.monotonic() * per_second + 1e-6


def test_each_key_has_its_own_and_few_are_remembered() -> None:
    clock = HandClock()
    budgets = RateBudgets(clock, 1.0, 2, limit=3)
    assert [budgets.take("a") > 0 for _ in range(3)] == [False, False, True]
    assert budgets.take("b") == 0.0
    assert budgets.take("a") > 0
    for key in "cde":
        budgets.take(key)
    assert len(budgets) == 3
