"""Simulated days of training, interrupted by chance: the optimum is where the formula puts it.

The reference setting: one interruption an hour, a save costs 5 s, a restart 120 s, a last save
20 s. Waste is counted in seconds per second of new work. Every interval sees the same days.
"""

import math

import numpy as np
import pytest
from spot_sidecar.interval.formula import optimum

MEAN, COST, RESTART, LAST = 3600.0, 5.0, 120.0, 20.0
DAYS, DAY = 400, 86_400.0
RUNS = np.random.default_rng(20260301).exponential(MEAN, DAYS * 24 * 2)
LUCK = np.random.default_rng(17).random(RUNS.size)


def waste(interval: float, saved: float) -> float:
    """Seconds of `DAYS` days lost per second of new work."""
    gaps = RUNS
    cycle = interval + COST
    done = np.floor(gaps / cycle)
    rest = np.minimum(gaps - done * cycle, interval)
    kept = saved > LUCK
    useful = done * interval + np.where(kept, rest, 0.0)
    spent = gaps + RESTART + np.where(kept, LAST, 0.0)
    inside = np.cumsum(spent) <= DAYS * DAY
    assert 0.8 * DAYS * 24 < inside.sum() < inside.size
    return float(spent[inside].sum() / useful[inside].sum()) - 1.0


def analytic(saved: float) -> float:
    """The same by the formula, at its optimum."""
    return math.sqrt(2 * COST * (1 - saved) / MEAN) + (saved * LAST + RESTART) / MEAN


@pytest.mark.parametrize(("saved", "best", "expected", "plain"), [
    (0.0, 190, 0.090, 0.090), (0.5, 268, 0.076, 0.078),
    (0.8, 424, 0.061, 0.070), (0.95, 849, 0.050, 0.066),
])  # fmt: skip
def test_the_table_of_wastes(saved: float, best: float, expected: float, plain: float) -> None:
    tau = optimum(COST, 1 / MEAN, saved)
    assert tau == pytest.approx(best, rel=0.03)
    found = waste(tau, saved)
    assert found == pytest.approx(expected, abs=0.004)
    assert found == pytest.approx(analytic(saved), abs=0.004)
    assert waste(math.sqrt(2 * COST * MEAN), saved) == pytest.approx(plain, abs=0.004)
    for factor in (0.5, 2.0):
        assert waste(factor * tau, saved) > found
    for factor in (0.7, 1.4):
        assert waste(factor * tau, saved) > found - 0.001
