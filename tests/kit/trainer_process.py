"""A real training process beside a test's sidecar, with the SDK a user would import.

The arithmetic is such that a wrong, doubled or lost step shows in the final number: the state after
step n is a function of n alone, and not of when the process was stopped.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.sidecar import PodFolder, eventually

Json = dict[str, Any]

SCRIPT = """
import json, sys, time
import numpy as np
import spot_training as spot

steps, pause, size = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
state = {"w": np.zeros(size, dtype="f8")}
run = spot.resume(arrays=state, seed=7)
def tell(**line):
    print(json.dumps(line), flush=True)
tell(event="resumed", step=run.current_step)
while run.current_step < steps:
    state["w"] += run.rng.standard_normal() * (run.current_step + 1)
    time.sleep(pause)
    tell(event="step", step=run.current_step + 1, w=float(state["w"][0]))
    run.step(samples=1)
run.complete()
tell(event="complete", w=float(state["w"][-1]))
"""


@dataclass(slots=True)
class TrainerProcess:
    """A running trainer; what it prints is JSON, one object a line."""

    process: subprocess.Popen[bytes]
    output: Path

    def lines(self) -> list[Json]:
        """What it has said so far."""
        text = self.output.read_text()
        whole = text[: text.rfind("\n") + 1]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def steps(self) -> list[int]:
        """The steps it made, in order."""
        return [line["step"] for line in self.lines() if line["event"] == "step"]

    def reached(self, step: int) -> bool:
        """Wait until it has made this step."""

        def there() -> bool:
            if self.process.poll() is not None and step not in self.steps():
                raise AssertionError(f"the trainer ended: {self.output.read_text()[-3000:]}")
            return step in self.steps()

        return eventually(f"step {step}", there, seconds=40)

    def ended(self, seconds: float = 60.0) -> int:
        """Its exit code, waited for."""
        return self.process.wait(seconds)

    def final(self) -> float:
        """The result it printed at its completion."""
        (line,) = (line for line in self.lines() if line["event"] == "complete")
        return float(line["w"])

    def kill(self) -> None:
        """SIGKILL, and reap."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


@contextlib.contextmanager
def a_trainer(
    pod: PodFolder,
    *,
    steps: int = 20,
    pause: float = 0.02,
    size: int = 1000,
    name: str = "trainer",
    script: str = SCRIPT,
) -> Iterator[TrainerProcess]:
    """Runs a script with these arguments in the pod; killed at the end if it still runs."""
    output = pod.folder / f"{name}.log"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SPOT_")}
    with output.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(steps), str(pause), str(size)],
            env={
                **environment,
                "SPOT_SOCKET": str(pod.socket),
                "SPOT_ATTEMPT": str(pod.config["attempt"]),
                "SPOT_RANK": "0",
                "OPENBLAS_NUM_THREADS": "1",
                "OMP_NUM_THREADS": "1",
            },
            stdout=log,
            stderr=log,
        )
    trainer = TrainerProcess(process, output)
    try:
        yield trainer
    finally:
        trainer.kill()
