"""Trainers for end-to-end tests: a few lines of Python in the demo's image, each with one habit."""

from __future__ import annotations

from typing import Any

from stage.install import TRAINER_IMAGE, Stage
from stage.job import WatchedJob

Object = dict[str, Any]

STEPS = """
import json, time
import numpy as np
import spot_training as spot

state = {"w": np.zeros(1000, dtype="f4")}
run = spot.resume(arrays=state, seed=1)
print(json.dumps({"event": "resumed", "step": run.current_step}), flush=True)
order = spot.ShuffledBatches(100, 1, seed=1)
for epoch in run.epochs(EPOCHS):
    for rows in run.batches(order):
        state["w"] += rows[0]
        line = {"attempt": run.attempt, "step": run.current_step + 1, "loss": 0.0}
        print(json.dumps(line), flush=True)
        time.sleep(PAUSE)
        run.step(loss=0.0)
run.complete()
"""


def steps(*, epochs: int = 1, pause: float = 0.05) -> str:
    """Makes 100 steps per epoch, sleeping `pause` seconds in each, then completes."""
    return STEPS.replace("EPOCHS", str(epochs)).replace("PAUSE", str(pause))


EXITS_1 = "import sys; print('no such data set', file=sys.stderr); sys.exit(1)"
REFUSES = "import spot_training as spot; spot.refuse('the data set has no labels')"
EXITS_0_ON_NOTICE = """
import os, sys, time
while not os.path.exists("/spot/shared/notice.json"):
    time.sleep(0.1)
sys.exit(0)
"""


def manifest(script: str, **template: Any) -> Object:
    """A job whose trainer runs `script`; `template` is merged into the pod's spec."""
    trainer = {"name": "trainer", "image": TRAINER_IMAGE, "command": ["python3", "-c", script]}
    pod = {"terminationGracePeriodSeconds": 20, "containers": [trainer]}
    return {
        "apiVersion": "spottraining.dev/v1alpha1",
        "kind": "SpotTrainingJob",
        "metadata": {"name": "unnamed"},
        "spec": {
            "checkpoint": {
                "interval": "5s",
                "staging": {"sizeLimit": "16Mi"},
                "store": {"s3": {"bucket": "put-in", "prefix": "e2e"}},
            },
            "template": {"spec": {**pod, **template}},
        },
    }


def apply(
    stage: Stage, name: str, script: str, *, checkpoint: Object | None = None, **spec: Any
) -> WatchedJob:
    """`kubectl apply` of such a job, under a policy for tests unless `spec` names another.

    `checkpoint` changes fields of `spec.checkpoint`.
    """
    made = manifest(script)
    made["spec"]["checkpoint"] |= checkpoint or {}
    stage.kube.apply(stage.job(made, name, **({"policyName": "quick"} | spec)))
    return WatchedJob(stage.kube, name)


def policy(name: str, **spec: Any) -> Object:
    """A SpotPolicy that admits every namespace unless `spec` says otherwise."""
    return {
        "apiVersion": "spottraining.dev/v1alpha1",
        "kind": "SpotPolicy",
        "metadata": {"name": name},
        "spec": {"allowedNamespaces": ["*"], **spec},
    }


QUICK = policy(
    "quick",
    backoff={"initial": "2s", "factor": 2, "max": "30s", "jitter": "None"},
    failures={"max": 2, "refundAfterProgress": True},
    unreachable={"after": "15s"},
)
