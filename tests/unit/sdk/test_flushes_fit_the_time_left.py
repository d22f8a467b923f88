import pytest
from spot_training.pausing import Flush, first_due, plan_flush


@pytest.mark.parametrize(("left", "estimate", "expected"), [
    (None, None, Flush(save=True, until=None)),
    (None, 9999.0, Flush(save=True, until=None)),
    (120.0, None, Flush(save=True, until=1118.0)),
    (120.0, 60.0, Flush(save=True, until=1118.0)),
    (120.0, 95.0, Flush(save=False, until=1118.0)),
    (4.0, 1.0, Flush(save=True, until=1003.0)),
    (4.0, None, Flush(save=True, until=1003.0)),
    (0.0, None, Flush(save=False, until=1000.0)),
    (-5.0, None, Flush(save=False, until=1000.0)),
])  # fmt: skip
def test_saving_is_tried_only_if_it_can_commit_in_time(
    left: float | None, estimate: float | None, expected: Flush
) -> None:
    assert plan_flush(1000.0, left, estimate) == expected


@pytest.mark.parametrize(("interval", "fresh", "due"), [
    (300.0, True, 30.0), (20.0, True, 5.0), (3.0, True, 3.0), (0.0, True, 0.0),
    (300.0, False, 300.0),
])  # fmt: skip
def test_a_fresh_run_saves_early(interval: float, *, fresh: bool, due: float) -> None:
    assert first_due(1000.0, interval, fresh=fresh) == 1000.0 + due
