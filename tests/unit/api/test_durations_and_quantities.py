"""Texts that users write for times and sizes."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spot_operator.api.durations import MAX_LENGTH, format_duration, parse_duration
from spot_operator.api.quantities import parse_bytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("1h1m1s", 3661),
        ("24h", 86_400),
        ("0000h000000m00000060s", 60),
    ],
)
def test_a_duration(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "s", "1d", "5 m", "-1s", "1.5h", "1m1h", "1s1s", "1H", "5m\n", "٣s", "10000h"]
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match='write it as "90s", "5m" or "1h30m"'):
        parse_duration(text)


@given(st.timedeltas(timedelta(0), timedelta(hours=9999)).map(lambda t: t - t % timedelta(0, 1)))
def test_a_written_duration_is_read_back(duration: timedelta) -> None:
    written = format_duration(duration)
    assert len(written) <= MAX_LENGTH
    assert parse_duration(written) == duration


@pytest.mark.parametrize("duration", [timedelta(seconds=-1), timedelta(milliseconds=1500)])
def test_what_cannot_be_written_is_refused(duration: timedelta) -> None:
    with pytest.raises(ValueError, match="use whole, positive seconds"):
        format_duration(duration)


@pytest.mark.parametrize(
    ("quantity", "size"),
    [
        ("1Gi", 2**30),
        ("1.5Gi", 3 * 2**29),
        (".5Ki", 512),
        ("2G", 2_000_000_000),
        ("5k", 5_000),
        ("+7", 7),
        ("1e3", 1_000),
        ("1E3", 1_000),
        ("2E", 2 * 10**18),
        ("1500e-2", 15),
        ("0.1", 1),
        (1_048_576, 2**20),
    ],
)
def test_a_quantity_of_bytes(quantity: str | int, size: int) -> None:
    assert parse_bytes(quantity) == size


@pytest.mark.parametrize("quantity", ["", "Gi", "1 Gi", "1gi", "1KiB", "-1Gi", -1, "1m", "1e", "٣"])
def test_what_is_no_quantity_of_bytes_is_refused_with_an_example(quantity: str | int) -> None:
    with pytest.raises(ValueError, match='write it as "512Mi" or "1Gi"'):
        parse_bytes(quantity)
