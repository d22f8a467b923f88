"""The example that needs no Kubernetes does what its README says."""

import os
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "numpy_local" / "train.py"


def start(lineage: Path) -> subprocess.Popen[str]:
    environment = os.environ | {
        "SPOT_DIR": str(lineage), "PYTHONPATH": os.pathsep.join(sys.path),
    }  # fmt: skip
    environment.pop("SPOT_SOCKET", None)
    return subprocess.Popen(
        [sys.executable, str(EXAMPLE), "0.001"], env=environment, stdout=subprocess.PIPE, text=True
    )


def expect_weights(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    last = output.splitlines()[-1]
    assert last.startswith("weights ")
    return last


def test_killed_or_not_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = start(tmp_path / "whole")
    killed = start(tmp_path / "killed")
    assert killed.stdout is not None
    for line in killed.stdout:
        if line.startswith("epoch 8"):
            break
    killed.kill()
    killed.communicate(timeout=30)
    again = start(tmp_path / "killed")
    assert expect_weights(again) == expect_weights(whole)
