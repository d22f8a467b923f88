"""What the kernel counts in the trainer's container, seen from the sidecar's."""

from __future__ import annotations

import os
import select
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.clock import EPOCH
from kit.sidecar import eventually
from spot_sidecar.base.clock import SystemClock
from spot_sidecar.state.attempt_state import AttemptState
from spot_sidecar.state.last_word import LIMIT, last_word
from spot_sidecar.state.oom_kills import Counters, KillLog, Kills, read_counters, read_limit
from spot_sidecar.state.state_persistence import persistent_state, restore_state
from spot_sidecar.trainer_watch import oom_watch
from spot_sidecar.trainer_watch.oom_watch import OomWatch
from spot_training.backends import cgroup

EVENTS = "low 0\nhigh 0\nmax {max}\noom {oom}\noom_kill {kill}\noom_group_kill {kill}\n"


def events(oom: int = 0, kill: int = 0, most: int = 0) -> str:
    """`memory.events` as a kernel writes it."""
    return EVENTS.format(max=most, oom=oom, kill=kill)


class Container:
    """The cgroup of a trainer's container, as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.counts()
        (folder / "memory.max").write_text("104857600\n")
        (folder / "cgroup.events").write_text("populated 1\nfrozen 0\n")

    def counts(self, oom: int = 0, kill: int = 0, most: int = 0) -> None:
        text = events(oom, kill, most)
        path = self.folder / "memory.events"
        with path.open(
            "r+" if path.exists() else "w"
        ) as file:  # the same file stays open elsewhere
            file.write(text)
            file.truncate()

    def hand_over(self, path: Path) -> bool:
        return cgroup.hand_over(path, root=self.folder)


class Watched:
    """A watch and what it told."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "counters.sock"
        self.told: list[tuple[Counters, int | None]] = []
        self.watch = OomWatch(self.path, self._saw, SystemClock(), look_seconds=0.02)

    def _saw(self, more: Counters, limit: int | None, at: float) -> None:
        assert abs(at - time.monotonic()) < 5
        self.told.append((more, limit))

    def expect(self, *told: Counters) -> None:
        eventually("told", lambda: len(self.told) >= len(told))
        assert [more for more, _ in self.told] == list(told)


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path / "cgroup")


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    found = Watched(tmp_path)
    found.watch.start()
    yield found
    found.watch.stop()


# --- what is read ---


def test_the_kernels_counters_are_read() -> None:
    assert read_counters(events(3, 5, 10**6).encode()) == Counters(3, 5)
    older = "low 0\nhigh 0\nmax 0\noom 1\noom_kill 2\n"
    assert read_counters(older.encode()) == Counters(1, 2)
    assert read_limit(b"104857600\n") == 104857600
    assert read_limit(b"max\n") is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "oom 1\n",
        "oom_kill 1\n",
        "oom -1\noom_kill 1\n",
        "oom 1.5\noom_kill 1\n",
        "oom 1\noom_kill\n",
        f"oom {2**64}\noom_kill 1\n",
        "oom " + "9" * 4000 + "\noom_kill 1\n",
        "oom ²\noom_kill 1\n",
        "anon 1\nfile 2\n",
    ],
)
def test_what_is_no_such_file_says_nothing(content: str) -> None:
    assert read_counters(content.encode()) is None


@given(st.binary(max_size=200) | st.text("omk_il 0123456789\n-").map(str.encode))
def test_any_bytes_are_read_to_figures_or_to_nothing(content: bytes) -> None:
    found, limit = read_counters(content), read_limit(content)
    assert found is None or 0 <= min(found.oom, found.oom_kill) <= 2**53
    assert limit is None or 0 <= limit <= 2**53


@given(st.integers(0, 90))
def test_a_file_cut_short_is_never_more_than_it_said(length: int) -> None:
    found = read_counters(events(12, 34).encode()[:length])
    assert found is None or (found.oom <= 12 and found.oom_kill <= 34)


# --- against the trainer's end ---


def test_the_time_from_the_kill_to_the_end_is_measured_whichever_is_heard_first() -> None:
    log = KillLog()
    log.lives()
    log.counted(Counters(1, 2), 100, at=50.0)
    assert log.kills == Kills(Counters(1, 2), 100, None)
    log.ended(50.5)
    assert log.kills == Kills(Counters(1, 2), 100, 0.5)
    late = KillLog()
    late.ended(50.5)
    late.counted(Counters(1, 2), 100, at=50.0)
    assert late.kills == log.kills


def test_a_trainer_that_lives_on_was_not_ended_by_it() -> None:
    log = KillLog()
    log.counted(Counters(1, 1), None, at=50.0)
    log.ended(50.1)
    log.lives()
    assert log.kills == Kills(Counters(1, 1), None, None)
    log.ended(3650.0)
    assert log.kills == Kills(Counters(1, 1), None, 3600.0)


def test_what_is_counted_at_another_time_is_another_thing() -> None:
    """An own limit reached in the morning does not explain the node's want of memory at noon."""
    log = KillLog()
    log.counted(Counters(1, 1), None, at=50.0)
    log.counted(Counters(0, 1), None, at=51.0)
    assert log.kills == Kills(Counters(1, 2), None, None)
    log.counted(Counters(0, 1), None, at=9000.0)
    assert log.kills == Kills(Counters(0, 1), None, None)


def test_a_restarted_sidecar_knows_what_it_had_seen() -> None:
    seen = Kills(Counters(1, 2), 100, 0.5)
    before = AttemptState(SystemClock(), 3, EPOCH, kills=seen)
    after = AttemptState(SystemClock(), 3, EPOCH)
    restore_state(after, persistent_state(before))
    assert after.kills == seen
    assert KillLog(after.kills).kills == seen
    lives = KillLog(after.kills)
    lives.lives()
    assert lives.kills == Kills(Counters(1, 2), 100, None)


def test_memory_of_an_older_sidecar_has_none() -> None:
    old = persistent_state(AttemptState(SystemClock(), 3, EPOCH))
    del old["memory"]
    after = AttemptState(SystemClock(), 3, EPOCH)
    restore_state(after, old)
    assert after.kills is None


def test_the_largest_figures_fit_into_the_last_word() -> None:
    attempt_state = AttemptState(
        SystemClock(), 3, EPOCH, kills=Kills(Counters(2**53, 2**53), 2**53, 1e9)
    )
    attempt_state.say("Superseded", "x" * 5000)
    attempt_state.meet("Superseded", "é" * 5000)
    body = last_word(attempt_state)
    assert len(body) <= LIMIT
    assert b'"secondsBeforeEnd":1000000000.0' in body


# --- files that are handed over ---


def test_what_rises_after_the_hand_over_is_told(watched: Watched, container: Container) -> None:
    container.counts(7, 7, 7)
    assert container.hand_over(watched.path)
    container.counts(7, 7, 90)
    time.sleep(0.1)
    assert watched.told == []
    container.counts(8, 9, 90)
    watched.expect(Counters(1, 2))
    assert watched.told[0][1] == 104857600


def test_a_kill_that_is_counted_after_its_cause_belongs_to_it(
    watched: Watched, container: Container
) -> None:
    assert container.hand_over(watched.path)
    time.sleep(0.1)
    container.counts(1, 0)
    time.sleep(0.05)
    container.counts(1, 2)
    watched.expect(Counters(1, 2))


def test_want_of_memory_elsewhere_is_told_as_such(watched: Watched, container: Container) -> None:
    assert container.hand_over(watched.path)
    container.counts(0, 1)
    watched.expect(Counters(0, 1))


def test_a_limit_that_was_changed_is_told_as_it_is_then(
    watched: Watched, container: Container
) -> None:
    assert container.hand_over(watched.path)
    (container.folder / "memory.max").write_text("max\n")
    container.counts(1, 1)
    watched.expect(Counters(1, 1))
    assert watched.told[0][1] is None


def test_the_last_hand_over_counts(watched: Watched, container: Container, tmp_path: Path) -> None:
    assert container.hand_over(watched.path)
    second = Container(tmp_path / "second")
    assert second.hand_over(watched.path)
    time.sleep(0.1)
    container.counts(5, 5)
    second.counts(1, 1)
    watched.expect(Counters(1, 1))


def numbers_open() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def give(path: Path, *numbers: int, text: bytes = b"x") -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(path))
        if numbers:
            socket.send_fds(connection, [text], list(numbers))
        elif text:
            connection.sendall(text)


def test_whatever_else_is_given_is_closed_and_harms_nothing(
    watched: Watched, container: Container, tmp_path: Path
) -> None:
    fifo, words = tmp_path / "fifo", tmp_path / "words"
    os.mkfifo(fifo)
    words.write_text("no counters")
    pipe, folder = os.open(fifo, os.O_RDWR), os.open(tmp_path, os.O_RDONLY)
    plain, writable = os.open(words, os.O_RDONLY), os.open(words, os.O_WRONLY)
    assert container.hand_over(watched.path)
    container.counts(1, 1)
    watched.expect(Counters(1, 1))
    before = numbers_open()
    for numbers in ((), (pipe,), (folder,), (plain,), (writable,), (pipe,) * 20, (plain, pipe)):
        give(watched.path, *numbers)
    give(watched.path, text=b"")
    assert container.hand_over(watched.path)
    time.sleep(0.1)
    container.counts(3, 3)
    watched.expect(Counters(1, 1), Counters(2, 2))
    eventually("closed", lambda: numbers_open() <= before)
    for number in (pipe, folder, plain, writable):
        os.close(number)


def test_one_that_says_nothing_does_not_keep_the_next_one_waiting_for_long(
    watched: Watched, container: Container
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.connect(str(watched.path))
        assert container.hand_over(watched.path)
        for count in range(1, 200):
            container.counts(count, count)
            time.sleep(0.02)
            if watched.told:
                return
    raise AssertionError("the second was never heard")


def test_the_socket_is_the_groups_and_a_restart_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "counters.sock"
    path.write_text("left by an earlier run")
    first = OomWatch(path, lambda *_: None, SystemClock(), look_seconds=0.02)
    first.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    first.stop()
    second = Watched(tmp_path)
    second.watch.start()
    assert Container(tmp_path / "cgroup").hand_over(path)
    second.watch.stop()


def test_without_a_place_to_listen_nothing_else_is_missing(tmp_path: Path) -> None:
    watch = OomWatch(tmp_path / "missing" / "counters.sock", lambda *_: None, SystemClock())
    watch.start()
    watch.stop()


def test_a_container_that_is_at_its_limit_all_the_time_is_looked_at_less_often(
    watched: Watched, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its page cache fills the limit: `max` rises without end, and that is no want of memory."""
    looks = 0
    pread = os.pread

    def counted(number: int, most: int, at: int) -> bytes:
        nonlocal looks
        looks += 1
        return pread(number, most, at)

    assert container.hand_over(watched.path)
    monkeypatch.setattr(oom_watch, "BUSY_LOOKS", 5)
    monkeypatch.setattr(os, "pread", counted)
    end, most = time.monotonic() + 2.0, 0
    while time.monotonic() < end:
        most += 1
        container.counts(0, 0, most)
        time.sleep(0.005)
    assert watched.told == []
    assert 5 < looks < 40, "a tenth of a second apart, and not a fiftieth"
    container.counts(1, 1, most)
    watched.expect(Counters(1, 1))


class Changed:
    """An epoll where `cgroup.events` has changed: each poll tells so until the file is read."""

    def __init__(self) -> None:
        self.polls = 0
        self._poll = select.epoll()
        self._files: list[int] = []
        self._read: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._poll.close()

    def register(self, number: int, mask: int) -> None:
        if mask == select.EPOLLPRI:
            self._files.append(number)
        else:
            self._poll.register(number, mask)

    def unregister(self, number: int) -> None:
        self._files.remove(number)

    def poll(self, seconds: float) -> list[tuple[int, int]]:
        self.polls += 1
        told = [(one, select.EPOLLPRI) for one in self._files[1:] if one not in self._read]
        return told or self._poll.poll(seconds)

    def pread(self, number: int, most: int, at: int) -> bytes:
        self._read.add(number)
        return pread(number, most, at)


pread = os.pread


def test_a_change_of_the_cgroup_wakes_the_thread_once(
    tmp_path: Path, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that is frozen for a moment, say, must not cost a whole core from then on."""
    kernel = Changed()
    monkeypatch.setattr(select, "epoll", lambda: kernel)
    monkeypatch.setattr(os, "pread", kernel.pread)
    watched = Watched(tmp_path)
    watched.watch.start()
    assert container.hand_over(watched.path)
    time.sleep(0.5)
    watched.watch.stop()
    assert kernel.polls < 60, "fifty times a second, as nothing wakes it"
