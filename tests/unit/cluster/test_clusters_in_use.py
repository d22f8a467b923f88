"""A cluster of a process at work is not replaced; what one that is dead left is."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster, PreconditionError, down
from cluster.holders import hold, refuse_if_held
from cluster.processes import Process, identify
from cluster.records import Home


@pytest.fixture
def other() -> Iterator[Process]:
    """Another process, which is at work."""
    with subprocess.Popen(["sleep", "60"]) as process:
        wait_for_its_command(process.pid)
        yield identify(process.pid)
        process.kill()


def wait_for_its_command(pid: int) -> None:
    """Linux shows none for a moment, between the old program and the new one."""
    for _ in range(1000):
        if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep"):
            return
        time.sleep(0.01)
    raise AssertionError("`sleep` does not show its command")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("SPOT_CLUSTER_DIR", str(tmp_path / "clusters"))
    return Home(tmp_path / "clusters", "held")


def held_by(home: Home, process: Process) -> None:
    home.path.mkdir(parents=True, exist_ok=True)
    (home.path / "holder.json").write_text(json.dumps(asdict(process)))


def test_that_of_a_living_process_is_not_replaced(home: Home, other: Process) -> None:
    held_by(home, other)
    with pytest.raises(PreconditionError, match=f"process {other.pid} .`sleep 60` in ") as refusal:
        Cluster.api_only("held", replace=True)
    assert "down --id held" in str(refusal.value)
    assert (home.path / "holder.json").exists(), "nothing was removed"


def test_a_person_may_end_it(home: Home, other: Process) -> None:
    held_by(home, other)
    assert down("held")
    refuse_if_held(home)


@pytest.mark.parametrize("change", [{"started": 1}, {"boot": "another"}, {"pid": 2**22 + 1}])
def test_that_of_a_dead_one_is_free(home: Home, other: Process, change: dict[str, Any]) -> None:
    held_by(home, replace(other, **change))
    refuse_if_held(home)


def test_ones_own_is_free(home: Home) -> None:
    hold(home)
    refuse_if_held(home)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": 1}'])
def test_a_file_that_tells_nothing_holds_nothing(home: Home, text: str) -> None:
    home.path.mkdir(parents=True)
    (home.path / "holder.json").write_text(text)
    refuse_if_held(home)


def test_nobody_holds_what_is_not_there(home: Home) -> None:
    refuse_if_held(home)
    assert not home.path.exists()


def test_only_this_process_holds_it(home: Home) -> None:
    hold(home)
    assert json.loads((home.path / "holder.json").read_text())["pid"] == os.getpid()
