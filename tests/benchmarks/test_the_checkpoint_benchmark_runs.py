"""The checkpoint benchmark measures everything it promises; quickly, so not how fast it is."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path("/dev/shm")
FIGURES = {
    "stall / memory copy",
    "stall / memory copy, many small tensors",
    "stall / memory copy, one huge tensor",
    "C_eff: torch.save / ours",
    "upload, http: ours / boto3",
    "upload, https: ours / boto3",
    "CPU s/GB, http: ours / boto3",
    "CPU s/GB, https: ours / boto3",
    "upload, http: ours / sendfile",
    "upload, versitygw: ours / boto3",
    "restore, http: torch / ours",
    "restore, https: torch / ours",
    "anonymous memory, upload",
    "anonymous memory, restore",
}


def a_run(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "hack/bench", "checkpoint", "--quick", "--to", str(folder / "report")]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen([*argv, *arguments], cwd=ROOT, stdout=log, stderr=log)


def left_behind() -> set[str]:
    return {path.name for path in SHARED.glob("spot-bench-*")}


@pytest.mark.timeout(400)
def test_every_figure_is_in_the_report_and_nothing_is_left_behind(tmp_path: Path) -> None:
    before = left_behind()
    assert a_run(tmp_path).wait(380) == 0, (tmp_path / "log").read_text()[-3000:]
    figures = json.loads((tmp_path / "report" / "report.json").read_text())
    assert {one["figure"] for one in figures} >= FIGURES
    for one in figures:
        assert set(one) == {"figure", "value", "unit", "limit", "holds"}
        assert (one["limit"] is None) == (one["holds"] is None)
    text = (tmp_path / "report" / "report.md").read_text()
    assert "says nothing of speed" in text
    assert all(f"| {one['figure']} |" in text for one in figures)
    assert left_behind() == before


@pytest.mark.timeout(150)
def test_a_run_that_is_broken_off_leaves_nothing_behind(tmp_path: Path) -> None:
    before = left_behind()
    run = a_run(tmp_path, "--only", "remembering")
    end = time.monotonic() + 60
    while not any((SHARED / name / "large").exists() for name in left_behind() - before):
        assert run.poll() is None, (tmp_path / "log").read_text()[-3000:]
        assert time.monotonic() < end
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    assert run.wait(60) != 0  # each process is ended kindly first
    assert left_behind() == before
    assert not (tmp_path / "report").exists()
