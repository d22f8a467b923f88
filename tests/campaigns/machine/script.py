"""The trainer of the scenes: every step changes all of its state, so a step done twice or left out,
or a row taken in another order, shows in the end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from kit.clustertrainers import manifest
from safetensors.numpy import load_file

Object = dict[str, Any]

STEPS = 160
STATE_MIB = 32
STAGING_MIB = 2 * STATE_MIB + 8
"""Two arenas and little more."""
TRAINER_MIB = STATE_MIB + 128
"""The state, the interpreter with its libraries, and little more."""
GO = "/tmp/go"
"""The file on whose appearance the trainer does what its scene asks for."""

SCRIPT = """
import json, os, time
import numpy as np
import spot_training as spot

state = {"w": np.zeros(STATE_MIB * 2**18, dtype="f4")}
run = spot.resume(arrays=state, seed=1)
print(json.dumps({"event": "resumed", "step": run.current_step}), flush=True)
order = spot.ShuffledBatches(STEPS, 1, seed=1)
for epoch in run.epochs(1):
    for rows in run.batches(order):
        state["w"] *= np.float32(0.5)
        state["w"] += np.float32(rows[0])
        line = {"attempt": run.attempt, "step": run.current_step + 1, "loss": 0.0}
        print(json.dumps(line), flush=True)
        time.sleep(PAUSE)
        run.step(loss=0.0)
        if os.path.exists("GO"):
            HABIT
run.complete()
"""

ARRAYS = "held = [np.ones(2**20, dtype='f8') for _ in range(64)]"
"""Takes 512 MiB."""
SHARED_MEMORY = "open('/dev/shm/big', 'wb').write(bytes(2**20) * 400)"
"""As a data loader does whose workers pass batches through shared memory."""
NOTHING = "pass"


def script(habit: str = NOTHING, pause: float = 0.2) -> str:
    """The trainer's code; `pause` seconds in each step."""
    values = {"STATE_MIB": STATE_MIB, "STEPS": STEPS, "PAUSE": pause, "GO": GO, "HABIT": habit}
    text = SCRIPT
    for name, value in values.items():
        text = text.replace(name, str(value))
    return text


def job(habit: str, node: str) -> Object:
    """A job for that node with limits close to what it needs, and a large /dev/shm."""
    made = manifest(script(habit), nodeSelector={"kubernetes.io/hostname": node})
    made["spec"]["checkpoint"]["staging"]["sizeLimit"] = f"{STAGING_MIB}Mi"
    pod = made["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "512Mi"}}]
    (trainer,) = pod["containers"]
    trainer["volumeMounts"] = [{"name": "shm", "mountPath": "/dev/shm"}]
    trainer["resources"] = {"limits": {"memory": f"{TRAINER_MIB}Mi"}}
    return made


def uninterrupted(folder: Path) -> Object:
    """The final state of a run on this machine that nothing happens to."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SPOT_")}
    subprocess.run(
        [sys.executable, "-c", script(pause=0)],
        env={**environment, "SPOT_DIR": str(folder)},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=300,
    )
    (last,) = folder.glob(f"data/*-s{STEPS:012}-*/r00000-p00000.safetensors")
    return dict(load_file(last))
