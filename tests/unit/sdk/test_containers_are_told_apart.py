"""Which container a process runs in, told from /proc alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from spot_training.backends.container import identity

STAT = "1 (python3 -c) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 {started} 9 9"


def proc(folder: Path, *, boot: str = "b-1", namespace: int = 7, started: int = 700) -> Path:
    (folder / "self/ns").mkdir(parents=True)
    (folder / "self/ns/pid").symlink_to(f"pid:[{namespace}]")
    (folder / "sys/kernel/random").mkdir(parents=True)
    (folder / "sys/kernel/random/boot_id").write_text(f"{boot}\n")
    (folder / "1").mkdir()
    (folder / "1/stat").write_text(STAT.format(started=started))
    return folder


def test_each_process_of_a_container_says_the_same() -> None:
    words = "from spot_training.backends.container import identity; print(identity())"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == identity() != ""


@pytest.mark.parametrize("other", [{"boot": "b-2"}, {"namespace": 8}, {"started": 900}])
def test_another_run_says_something_else(other: dict[str, Any], tmp_path: Path) -> None:
    assert identity(proc(tmp_path / "a")) == "b-1/pid:[7]/700"
    assert identity(proc(tmp_path / "b", **other)) != identity(tmp_path / "a")


@pytest.mark.parametrize("missing", ["self/ns/pid", "sys/kernel/random/boot_id", "1/stat"])
def test_nothing_is_said_where_something_is_not_known(missing: str, tmp_path: Path) -> None:
    (proc(tmp_path) / missing).unlink()
    assert identity(tmp_path) == ""


def test_nothing_is_said_where_the_first_process_has_no_start(tmp_path: Path) -> None:
    (proc(tmp_path) / "1/stat").write_text("1 (init) S")
    assert identity(tmp_path) == ""
