from datetime import UTC, datetime, timedelta

import pytest
from spot_training.cli import text


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (49_460, "48.3 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (5 * 1024**3, "5.0 GiB"),
        (3 * 1024**6, "3072.0 PiB"),
    ],
)
def test_sizes(count: int, said: str) -> None:
    assert text.size(count) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0s"),
        (0.44, "0.4s"),
        (2, "2s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (600, "10m"),
        (10_799, "179m"),
        (3 * 3600 + 60, "3h1m"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert text.duration(seconds) == said


def test_a_time_ahead_of_this_clock_is_just_now() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert text.age(now + timedelta(hours=1), now) == "0s"


def test_columns_are_aligned_and_nothing_trails() -> None:
    lines = text.table(("NAME", "BYTES"), [("a", "1"), ("longer", "1,000")], right="BYTES")
    assert lines == ["NAME    BYTES", "a           1", "longer  1,000"]
    assert text.table(("A", "B"), [("x", "")]) == ["A  B", "x"]


def test_pairs_without_a_value_are_left_out() -> None:
    assert text.pairs([("state", "ok"), ("problem", ""), ("id", "7")]) == [
        "  state  ok",
        "  id     7",
    ]


def test_counts() -> None:
    assert (text.count(1, "kill"), text.count(2000, "step")) == ("1 kill", "2,000 steps")


def test_paragraphs_are_filled_and_lists_stay() -> None:
    text_ = "one two three\nfour\n\nlist:\n  a long item that stays on its line"
    assert text.reflow(text_, 12) == (
        "one two\nthree four\n\nlist:\n  a long item that stays on its line"
    )
