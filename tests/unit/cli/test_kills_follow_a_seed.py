import pytest
from spot_training.cli.codes import USAGE, Refusal
from spot_training.cli.run.schedule import Schedule, seconds


def drawn(seed: int, jitter: float = 0.5) -> list[float]:
    schedule = Schedule(every=30.0, jitter=jitter, seed=seed)
    return [schedule.next() for _ in range(50)]


def test_the_same_seed_kills_at_the_same_instants() -> None:
    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)


def test_instants_are_spread_over_the_range() -> None:
    assert min(drawn(7)) < 20
    assert max(drawn(7)) > 40
    assert all(15 <= one <= 45 for one in drawn(7))
    assert set(drawn(7, jitter=0.0)) == {30.0}


def test_the_range_is_told() -> None:
    assert Schedule(every=30, jitter=0.5, seed=1).spelled() == "after 15 to 45 s"
    assert Schedule(every=30, jitter=0, seed=1).spelled() == "after 30 s"


@pytest.mark.parametrize(
    ("text", "value"), [("30s", 30), ("1.5m", 90), ("500ms", 0.5), ("2h", 7200), ("4", 4)]
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "s", "-3s", "0s", "3 days"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="such as 30s") as refused:
        seconds(text)
    assert refused.value.code == USAGE
