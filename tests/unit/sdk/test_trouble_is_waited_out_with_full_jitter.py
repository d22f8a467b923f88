"""Tries again after trouble on the way, each time after a random part of a growing wait."""

from __future__ import annotations

import statistics
import time

import pytest
from spot_training.checkpoint.retry import Retry
from spot_training.checkpoint.store import Cancelled, Corrupt, Denied, NotFound, Unreachable


class Failing:
    """Fails so often, then answers."""

    def __init__(self, times: int, error: type[Exception] = Unreachable) -> None:
        self.left, self.error, self.asked = times, error, 0

    def __call__(self) -> str:
        self.asked += 1
        if self.asked <= self.left:
            raise self.error("made to fail by a test")
        return "answer"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


def test_the_wait_is_drawn_from_the_whole_of_a_doubling_span(waits: list[float]) -> None:
    longest = Retry(attempts=8, initial=1.0, cap=10.0, draw=lambda: 1.0)
    assert longest.call(Failing(7)) == "answer"
    assert waits == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]
    waits.clear()
    Retry(attempts=8, draw=lambda: 0.0).call(Failing(7))
    assert set(waits) == {0.0}


def test_many_that_failed_together_come_back_spread(waits: list[float]) -> None:
    for _ in range(400):
        Retry(attempts=2, initial=1.0).call(Failing(1))
    assert min(waits) < 0.1
    assert max(waits) > 0.9
    assert 0.4 < statistics.fmean(waits) < 0.6


def test_the_last_trouble_is_told(waits: list[float]) -> None:
    failing = Failing(99)
    with pytest.raises(Unreachable):
        Retry(attempts=3).call(failing)
    assert failing.asked == 3
    assert len(waits) == 2


@pytest.mark.parametrize("error", [NotFound, Denied, Corrupt])
def test_what_waiting_does_not_mend_is_told_at_once(
    waits: list[float], error: type[Exception]
) -> None:
    failing = Failing(99, error)
    with pytest.raises(error):
        Retry().call(failing)
    assert failing.asked == 1
    assert waits == []


def test_a_wait_ends_when_it_is_given_up() -> None:
    class GivenUp:
        """Set by the first wait."""

        asked = 0.0

        def is_set(self) -> bool:
            return self.asked > 0

        def wait(self, timeout: float) -> bool:
            self.asked = timeout
            return True

    cancel = GivenUp()
    with pytest.raises(Cancelled):
        Retry(initial=1.0, cap=1.0, draw=lambda: 0.5).call(Failing(99), cancel)
    assert cancel.asked == 0.5
