"""What a notice leaves time for, and the order in which snapshots are brought in."""

import threading
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spot_sidecar.interval.costs import Measured
from spot_sidecar.interval.rush import SAFETY, Rush, Window, rush
from spot_sidecar.snapshots.flight import Flight
from spot_sidecar.snapshots.line import Line
from spot_sidecar.snapshots.ratelimit import RateLimit
from spot_sidecar.snapshots.snapshot import Snapshot

MEASURED = Measured(
    stall=1.0, latency=12.0, commit=2.0, bytes=1000, bytes_per_second=100.0, saves=5
)


def a_snapshot(step: int, reason: str = "periodic") -> Snapshot:
    return Snapshot(
        id=f"s{step}", process=0, arena=step % 2, generation=2, bytes=1000, step=step, samples=0,
        epoch=0, reason=reason, stall_seconds=0.1, taken_at=datetime(2026, 3, 1, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize(("window", "expected"), [
    (Window(left=13.0, save=10.0), Rush.SAVE),
    (Window(left=12.9, save=10.0), Rush.SKIP),
    (Window(left=0.0, save=10.0), Rush.SKIP),
    (Window(left=None, save=1e9), Rush.SAVE),
    (Window(left=1.0, save=None), Rush.SAVE),
    (Window(left=26.0, save=10.0, rest=10.0), Rush.AFTER),
    (Window(left=25.9, save=10.0, rest=10.0), Rush.BEFORE),
    (Window(left=25.9, save=10.0, rest=10.0, may_pause=False), Rush.KEEP),
    (Window(left=12.9, save=10.0, rest=10.0), Rush.KEEP),
    (Window(left=12.9, save=10.0, rest=10.0, may_pause=False), Rush.KEEP),
    (Window(left=None, save=10.0, rest=10.0), Rush.AFTER),
    (Window(left=1.0, save=None, rest=0.0), Rush.AFTER),
])  # fmt: skip
def test_the_three_questions(window: Window, expected: Rush) -> None:
    assert rush(window) is expected


@given(st.floats(0, 1e3), st.floats(0, 1e3), st.floats(0, 1e3), st.booleans())
def test_it_never_ends_with_neither(left: float, save: float, rest: float, may_pause: bool) -> None:
    """With an upload under way: it is finished, or what replaces it surely fits."""
    found = rush(Window(left, save, rest, may_pause))
    assert found in (Rush.AFTER, Rush.BEFORE, Rush.KEEP)
    if found is Rush.BEFORE:
        assert may_pause
        assert save * SAFETY <= left


def test_what_is_left_of_an_upload() -> None:
    flight = Flight(a_snapshot(1), RateLimit(None, lambda: 0.0), begun=100.0)
    assert flight.rest(None, 105.0) is None
    assert flight.rest(MEASURED, 105.0) == 12.0
    flight.limit.take(800, None)
    assert flight.rest(MEASURED, 105.0) == 7.0  # let through, but it cannot all be there yet
    assert flight.rest(MEASURED, 200.0) == 4.0
    flight.durable(200.0)
    assert flight.rest(MEASURED, 200.0) == 2.0


def test_a_paused_snapshot_goes_on_unless_a_newer_one_is_safe() -> None:
    line = Line()
    line.put(a_snapshot(1))
    assert line.advance() == a_snapshot(1)
    line.put(a_snapshot(2, "notice"))
    line.hold()
    assert line.advance() == a_snapshot(2, "notice")
    assert not line.idle
    line.done()
    assert line.advance() == a_snapshot(1)
    line.hold()
    assert line.drop_held() == a_snapshot(1)
    assert line.advance() is None
    assert line.idle


def test_pieces_go_at_the_rate_until_it_is_lifted() -> None:
    limit = RateLimit(100.0, lambda: 1000.0)
    limit.take(50, None)
    given_up = threading.Event()
    given_up.set()
    limit.take(50, given_up)  # its turn has not come: let go because nobody wants it any more
    assert limit.taken == 50
    limit.lift()
    limit.take(10**9, None)
    assert limit.taken == 50 + 10**9
    assert limit.held_back
    assert not RateLimit(None, lambda: 1000.0).held_back


def test_a_rate_is_kept_on_a_real_clock() -> None:
    limit = RateLimit(1000.0, time.monotonic)
    began = time.monotonic()
    for _ in range(4):
        limit.take(100, None)
    assert 0.3 <= time.monotonic() - began < 1.0
