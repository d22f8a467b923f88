"""The trainer gives its sidecar the open files of the kernel's account of its memory."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.fake_sidecar import FakeSidecar, serving
from kit.sidecar import eventually
from spot_training.backends import cgroup, session
from spot_training.backends.session import Session


class Listener:
    """Takes what is handed over once, and reads it."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen(4)
        self._socket.settimeout(10)
        self.read: list[str] = []
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            _, numbers, _, _ = socket.recv_fds(connection, 64, 4)
            self.read = [os.pread(number, 100, 0).decode() for number in numbers]
        for number in numbers:
            os.close(number)

    def close(self) -> None:
        self._thread.join()
        self._socket.close()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    found = Listener(tmp_path / "counters.sock")
    yield found
    found.close()


def a_cgroup(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "memory.events").write_text("oom 0\noom_kill 0\n")
    (folder / "memory.max").write_text("max\n")
    (folder / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    return folder


def test_the_files_come_in_their_order(tmp_path: Path, listener: Listener) -> None:
    root = a_cgroup(tmp_path / "cgroup")
    assert cgroup.hand_over(tmp_path / "counters.sock", root=root)
    assert listener.read == ["oom 0\noom_kill 0\n", "max\n", "populated 1\nfrozen 0\n"]


def test_where_a_container_sees_the_whole_machine_its_own_are_taken(
    tmp_path: Path, listener: Listener
) -> None:
    """With the host's cgroup namespace the root is the machine's, which has no such file."""
    a_cgroup(tmp_path / "cgroup" / "kubepods" / "pod1" / "c1")
    own = tmp_path / "self"
    own.write_text("1:name=systemd:/elsewhere\n0::/kubepods/pod1/c1\n")
    assert cgroup.hand_over(tmp_path / "counters.sock", root=tmp_path / "cgroup", self=own)
    assert listener.read == ["oom 0\noom_kill 0\n", "max\n", "populated 1\nfrozen 0\n"]


@pytest.mark.parametrize("text", ["", "12:memory:/docker/1\n", "0::/gone\n", "0::/../..\n"])
def test_with_cgroup_v1_there_is_nothing_to_give(tmp_path: Path, text: str) -> None:
    own = tmp_path / "self"
    own.write_text(text)
    (tmp_path / "cgroup").mkdir()
    assert not cgroup.hand_over(tmp_path / "none", root=tmp_path / "cgroup", self=own)
    assert not cgroup.hand_over(tmp_path / "none", root=tmp_path, self=tmp_path / "missing")


def test_where_nobody_listens_training_goes_on(tmp_path: Path) -> None:
    root = a_cgroup(tmp_path / "cgroup")
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    assert not cgroup.hand_over(tmp_path / "counters.sock", root=root)
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before


def test_each_session_hands_them_over_and_an_older_sidecar_is_given_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Path] = []
    monkeypatch.setattr(session, "hand_over", given.append)
    sidecar = FakeSidecar(tmp_path)
    with serving(sidecar):
        older = Session(sidecar.socket, 0)
        older.greeting()
        older.close()
        assert given == []
        sidecar.greeting["countersPath"] = str(tmp_path / "counters.sock")
        newer = Session(sidecar.socket, 0)
        newer.greeting()
        eventually("given", lambda: given == [tmp_path / "counters.sock"])
    with serving(sidecar):  # the sidecar restarts, and has lost them
        eventually("given again", lambda: len(given) == 2)
        newer.close()
