"""The examples that need no Kubernetes, as their READMEs say to run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def expect_the_same_end(folder: Path, example: str, *, killed_at: str, end: str) -> None:
    """Killed when it prints `killed_at` and started again, it ends with the line (which begins
    with `end`) of one that nobody disturbed."""
    whole = _start(folder / "whole", example)
    killed = _start(folder / "killed", example)
    assert killed.stdout is not None
    with killed.stdout:
        for line in killed.stdout:
            if line.startswith(killed_at):
                break
        killed.kill()
        killed.wait(timeout=30)  # not for its children, which see only later that it is gone
    again = _start(folder / "killed", example)
    assert _end_of(again, end) == _end_of(whole, end)


def _start(lineage: Path, example: str) -> subprocess.Popen[str]:
    environment = os.environ | {
        "SPOT_DIR": str(lineage), "PYTHONPATH": os.pathsep.join(sys.path),
    }  # fmt: skip
    environment.pop("SPOT_SOCKET", None)
    return subprocess.Popen(
        [sys.executable, str(EXAMPLES / example / "train.py"), "0.001"],
        env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def _end_of(process: subprocess.Popen[str], end: str) -> str:
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    last = output.splitlines()[-1]
    assert last.startswith(end)
    return last
