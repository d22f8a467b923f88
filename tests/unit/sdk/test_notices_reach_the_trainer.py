import json
import os
import signal
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kit.trainers import a_notice
from spot_training.notices import Notice, NoticeFile, SigtermTrap, Watch, earlier, parse_notice
from spot_training.times import parse_rfc3339, rfc3339, utc_now


def write(path: Path, **fields: Any) -> None:
    """Replaces the file as the sidecar does."""
    data = {"kind": "Preempt", "deadline": "2026-01-02T03:06:05Z", "source": "imds",
            "observedAt": "2026-01-02T03:04:05Z", "raw": "{}"} | fields  # fmt: skip
    path.with_suffix(".tmp").write_text(json.dumps(data))
    path.with_suffix(".tmp").rename(path)


def test_a_notice_is_seen_when_its_file_appears_and_changes(tmp_path: Path) -> None:
    path = tmp_path / "notice.json"
    file = NoticeFile(path)
    assert file.look() is None
    write(path)
    first = file.look()
    assert first is not None
    assert (first.kind, first.source, first.certain) == ("Preempt", "imds", True)
    assert first.seconds_left(parse_rfc3339("2026-01-02T03:05:05Z")) == 60
    assert file.look() is first
    write(path, kind="Rebalance", deadline=None)
    second = file.look()
    assert second is not None
    assert (second.kind, second.certain, second.seconds_left()) == ("Rebalance", False, None)


@pytest.mark.parametrize("body", [
    b"", b"[]", b"{}", b'{"kind":"Preempt"}', b'{"kind":1,"source":2,"observedAt":"yesterday"}',
])  # fmt: skip
def test_an_unreadable_notice_is_none_until_it_is_replaced(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "notice.json"
    path.write_bytes(body)
    with pytest.raises(ValueError, match=r".+"):
        parse_notice(body)
    file = NoticeFile(path)
    assert file.look() is None
    write(path)
    assert file.look() is not None


@pytest.mark.parametrize(("kinds", "winner"), [
    ((("Preempt", 100.0), ("PodDeletion", 30.0)), "PodDeletion"),
    ((("Rebalance", 5.0), ("Preempt", 100.0)), "Preempt"),
    ((("Preempt", None), ("PodDeletion", 600.0)), "PodDeletion"),
])  # fmt: skip
def test_certain_then_earliest_counts(
    kinds: tuple[tuple[str, float | None], ...], winner: str
) -> None:
    notices = [a_notice(kind, seconds=seconds) for kind, seconds in kinds]
    for one, other in (notices, notices[::-1]):
        found = earlier(one, other)
        assert found is not None
        assert found.kind == winner
    assert earlier(None, notices[0]) is notices[0]
    assert earlier(None, None) is None


def test_sigterm_is_the_notice_of_a_deletion() -> None:
    now = utc_now()
    called: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: called.append(number))
    try:
        trap = SigtermTrap(25.0, now=lambda: now)
        assert trap.look() is None
        os.kill(os.getpid(), signal.SIGTERM)
        found = trap.look()
        assert found is not None
        assert (found.kind, found.source) == ("PodDeletion", "sigterm")
        assert found.deadline == now + timedelta(seconds=25)
        assert called == [signal.SIGTERM], "the script's own handler is called as well"
        os.kill(os.getpid(), signal.SIGTERM)
        assert trap.look() is found
        trap.release()
        os.kill(os.getpid(), signal.SIGTERM)
        assert len(called) == 3
    finally:
        signal.signal(signal.SIGTERM, before)


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=lambda: SigtermTrap(1.0).release())
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_watch_joins_file_and_signal(tmp_path: Path) -> None:
    write(tmp_path / "notice.json", kind="Rebalance", deadline=None)
    trap = SigtermTrap(30.0)
    watch = Watch(NoticeFile(tmp_path / "notice.json"), trap)
    try:
        assert _kind(watch) == "Rebalance"
        os.kill(os.getpid(), signal.SIGTERM)
        assert _kind(watch) == "PodDeletion"
    finally:
        watch.release()


def _kind(watch: Watch) -> str:
    found = watch.look()
    assert isinstance(found, Notice)
    return found.kind


def test_times_are_utc_with_a_zone() -> None:
    assert parse_rfc3339("2026-01-02T05:04:05+02:00") == parse_rfc3339("2026-01-02T03:04:05Z")
    assert rfc3339(parse_rfc3339("2026-01-02T03:04:05Z")) == "2026-01-02T03:04:05.000000Z"
    with pytest.raises(ValueError, match="zone"):
        parse_rfc3339("2026-01-02T03:04:05")
    with pytest.raises(ValueError, match="zone"):
        rfc3339(utc_now().replace(tzinfo=None))
