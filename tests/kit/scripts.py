"""Jobs whose scripts know nothing of us, for the local cluster."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from kit.clustertrainers import manifest
from stage.install import PROJECT

Object = dict[str, Any]
EXAMPLES = PROJECT / "examples/unmodified"

PLAIN = """
import argparse, json, os, signal, sys, time
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--resume")
asked = parser.parse_args()
step, told = 0, []
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
if asked.resume:
    step = int(np.load(asked.resume + "/w.npz")["step"])
while step < 200 and not told:
    time.sleep(0.1)
    step += 1
    print(json.dumps({"step": step, "loss": 0.0}), flush=True)
    if step % 10 == 0 or told:
        folder = f"/out/model_{step}"
        os.mkdir(folder, 0o700)
        np.savez(folder + "/w.npz", step=step, w=np.full(1000, step))
        os.chmod(folder + "/w.npz", 0o600)
        open(folder + "/DONE", "w").close()
print(json.dumps({"event": "result", "steps": step, "uid": os.getuid()}), flush=True)
sys.exit(3 if told else 0)
"""


def script_job(
    command: list[str], layout: str, resume: str, marker: str = "", **template: Any
) -> Object:
    """A job that runs `command`, whose script is told by the option `resume` what to go on from."""
    job = manifest("", **template)
    job["spec"]["completion"] = "ExitCode"
    job["spec"]["checkpoint"]["source"] = {
        "directory": {
            "path": "/out",
            "format": layout,
            "resumeArgs": [resume, "{path}"],
            "settle": "1s",
            "marker": marker,
        }
    }
    job["spec"]["template"]["spec"]["containers"][0]["command"] = command
    return job


def with_torch(job: Object) -> Object:
    """The job with the environment of these tests mounted: torch is too large for an image."""
    spec = job["spec"]["template"]["spec"]
    spec["volumes"] = [{"name": "packages", "hostPath": {"path": str(_packages())}}]
    trainer = spec["containers"][0]
    trainer["volumeMounts"] = [{"name": "packages", "mountPath": "/packages", "readOnly": True}]
    trainer["env"] = [
        {"name": name, "value": value}
        for name, value in {
            "PYTHONPATH": "/packages",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": "/tmp/hf",
            "HOME": "/tmp",
            "OMP_NUM_THREADS": "1",
        }.items()
    ]
    return job


def _packages() -> Path:
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        raise pytest.UsageError("the scripts of this test need torch: make env-torch")
    return Path(found.origin).parents[1]
