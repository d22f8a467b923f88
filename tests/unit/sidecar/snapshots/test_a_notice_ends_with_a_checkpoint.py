"""What a notice leaves time for, and the order in which snapshots are brought in."""

import threading
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spot_sidecar.interval.costs import Measured
from spot_sidecar.interval.last_save_policy import (
    SAFETY,
    LastSaveDecision,
    Window,
    decide,
)
from spot_sidecar.snapshots.ratelimit import RateLimit
from spot_sidecar.snapshots.save_queue import SaveQueue
from spot_sidecar.snapshots.snapshot import Snapshot
from spot_sidecar.snapshots.transfer import Transfer

MEASURED = Measured(
    stall=1.0, latency=12.0, commit=2.0, bytes=1000, bytes_per_second=100.0, saves=5
)


def a_snapshot(step: int, reason: str = "periodic") -> Snapshot:
    return Snapshot(
        id=f"s{step}", process=0, arena=step % 2, generation=2, bytes=1000, step=step, samples=0,
        epoch=0, reason=reason, stall_seconds=0.1, taken_at=datetime(2026, 3, 1, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize(("window", "expected"), [
    (Window(left=13.0, save=10.0), LastSaveDecision.SAVE),
    (Window(left=12.9, save=10.0), LastSaveDecision.SKIP),
    (Window(left=0.0, save=10.0), LastSaveDecision.SKIP),
    (Window(left=None, save=1e9), LastSaveDecision.SAVE),
    (Window(left=1.0, save=None), LastSaveDecision.SAVE),
    (Window(left=26.0, save=10.0, rest=10.0), LastSaveDecision.AFTER),
    (Window(left=25.9, save=10.0, rest=10.0), LastSaveDecision.BEFORE),
    (Window(left=25.9, save=10.0, rest=10.0, may_pause=False), LastSaveDecision.KEEP),
    (Window(left=12.9, save=10.0, rest=10.0), LastSaveDecision.KEEP),
    (Window(left=12.9, save=10.0, rest=10.0, may_pause=False), LastSaveDecision.KEEP),
    (Window(left=None, save=10.0, rest=10.0), LastSaveDecision.AFTER),
    (Window(left=1.0, save=None, rest=0.0), LastSaveDecision.AFTER),
])  # fmt: skip
def test_the_three_questions(window: Window, expected: LastSaveDecision) -> None:
    assert decide(window) is expected


@given(st.floats(0, 1e3), st.floats(0, 1e3), st.floats(0, 1e3), st.booleans())
def test_it_never_ends_with_neither(left: float, save: float, rest: float, may_pause: bool) -> None:
    """With an upload under way: it is finished, or what replaces it surely fits."""
    found = decide(Window(left, save, rest, may_pause))
    assert found in (LastSaveDecision.AFTER, LastSaveDecision.BEFORE, LastSaveDecision.KEEP)
    if found is LastSaveDecision.BEFORE:
        assert may_pause
        assert save * SAFETY <= left


def test_what_is_left_of_an_upload() -> None:
    transfer = Transfer(a_snapshot(1), RateLimit(None, lambda: 0.0), begun=100.0)
    assert transfer.rest(None, 105.0) is None
    assert transfer.rest(MEASURED, 105.0) == 12.0
    transfer.limit.take(800, None)
    assert transfer.rest(MEASURED, 105.0) == 7.0  # let through, but it cannot all be there yet
    assert transfer.rest(MEASURED, 200.0) == 4.0
    transfer.durable(200.0)
    assert transfer.rest(MEASURED, 200.0) == 2.0


def test_a_paused_snapshot_goes_on_unless_a_newer_one_is_safe() -> None:
    line = SaveQueue()
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
