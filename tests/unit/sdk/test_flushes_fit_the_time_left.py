import pytest
from spot_training.pausing import Flush, first_due, plan_flush, worth_saving


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


@pytest.mark.parametrize(("interval", "due"), [
    (300.0, 30.0), (20.0, 5.0), (3.0, 3.0), (0.0, 0.0),
])  # fmt: skip
def test_a_fresh_run_saves_early(interval: float, due: float) -> None:
    assert first_due(1000.0, interval) == 1000.0 + due


@pytest.mark.parametrize(("kind", "since", "cost", "saves"), [
    ("Rebalance", 0.0, None, True),
    ("Rebalance", 21.0, 2.0, True),
    ("Rebalance", 19.0, 2.0, False),
    ("Maintenance", 2.1, 2.0, True),
    ("Maintenance", 1.9, 2.0, False),
])  # fmt: skip
def test_an_uncertain_notice_is_worth_a_save_if_enough_would_be_lost(
    kind: str, since: float, cost: float | None, saves: bool
) -> None:
    """One Rebalance in ten comes true: ten times the cost must be at stake."""
    assert worth_saving(kind, since, cost) is saves
