"""A training that was killed at any moment, any number of times, ends with the same bits.

The trainer is a real process, killed with SIGKILL; the checkpoints are on a local directory.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

TRAINER = '''
import hashlib, json, os, random, signal, sys, time
import numpy as np
import spot_training as spot

data = sys.argv[1]
deaths = set(json.loads(sys.argv[2]))
log = open(sys.argv[3], "a", buffering=1)


class Loader:
    """Draws from the global generators when it is iterated and for every batch."""

    def __iter__(self):
        order = np.random.permutation(22)
        for start in range(0, 22, 4):
            time.sleep(0.002)
            yield order[start : start + 4] * 1.0 + random.random()


w, m = np.zeros(4000), np.zeros(4000, dtype="f4")
extras = {"history": [], "generator": np.random.default_rng(3)}
run = spot.resume(arrays={"w": w, "o": {"m": m}}, extras=extras, seed=17, interval=0.0)
log.write(json.dumps({"attempt": run.attempt, "resumed": run.current_step}) + "\\n")
order = spot.ShuffledBatches(22, 4, seed=5) if data == "order" else Loader()
for epoch in run.epochs(4):
    np.random.rand()  # a script may draw between the epochs
    for batch in run.batches(order):
        noise = run.rng.random(4000) + np.random.rand(4000) + random.random()
        m *= np.float32(0.9)
        m += (noise * batch.sum()).astype("f4")
        w -= 0.1 * m + extras["generator"].random()
        extras["history"].append((epoch, float(batch[0])))
        if f"{run.attempt}:{run.current_step}" in deaths:
            os.kill(os.getpid(), signal.SIGKILL)
        run.step(loss=float(w[0]))
        log.write(json.dumps({"attempt": run.attempt, "step": run.current_step}) + "\\n")
    w *= 1.01
state = hashlib.sha256(w.tobytes() + m.tobytes() + repr(extras["history"]).encode()).hexdigest()
draws = [run.rng.random(), random.random(), np.random.rand(), extras["generator"].random()]
log.write(json.dumps({"result": [state, draws, run.samples]}) + "\\n")
run.complete()
'''


@dataclass
class Training:
    folder: Path
    data: str

    def start(self, deaths: list[str]) -> subprocess.Popen[bytes]:
        """One attempt; it kills itself before it counts step n of attempt a for "a:n"."""
        self.folder.mkdir(exist_ok=True)
        environment = os.environ | {
            "SPOT_DIR": str(self.folder / "lineage"), "PYTHONPATH": os.pathsep.join(sys.path),
        }  # fmt: skip
        environment.pop("SPOT_SOCKET", None)
        command = [sys.executable, "-c", TRAINER, self.data, json.dumps(deaths),
                   str(self.folder / "log")]  # fmt: skip
        with (self.folder / "stderr").open("ab") as errors:
            return subprocess.Popen(command, env=environment, stderr=errors)

    def finish(self, deaths: list[str]) -> list[int]:
        """Starts attempts until one ends by itself; returns the exit codes."""
        codes = []
        for _ in range(20):
            codes.append(self.start(deaths).wait(timeout=60))
            if codes[-1] == 0:
                return codes
        raise AssertionError(f"never finished: {codes}\n{(self.folder / 'stderr').read_text()}")

    def lines(self) -> list[dict[str, object]]:
        lines = (self.folder / "log").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def result(self) -> object:
        """What every attempt that got to the end found: a kill may come before it is complete."""
        first, *others = [line["result"] for line in self.lines() if "result" in line]
        assert all(other == first for other in others)
        return first


@pytest.fixture(scope="module", params=["order", "loader"])
def uninterrupted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Training:
    training = Training(tmp_path_factory.mktemp("whole"), str(request.param))
    assert training.finish([]) == [0]
    return training


@pytest.mark.parametrize(
    "deaths",
    [
        pytest.param(["1:4"], id="within the first epoch"),
        pytest.param(["1:8", "2:10"], id="twice within an epoch"),
        pytest.param(["1:5", "2:6", "3:11", "4:12"], id="around the boundaries of epochs"),
        pytest.param(["1:0", "2:1"], id="before anything was saved"),
        pytest.param([f"{n}:{3 * n}" for n in range(1, 8)], id="seven times"),
        pytest.param(["1:23"], id="at the last step"),
    ],
)
def test_killed_at_chosen_steps(uninterrupted: Training, tmp_path: Path, deaths: list[str]) -> None:
    training = Training(tmp_path / "killed", uninterrupted.data)
    codes = training.finish(deaths)
    assert codes[0] == -signal.SIGKILL
    assert training.result() == uninterrupted.result()


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_moments(uninterrupted: Training, tmp_path: Path, seed: int) -> None:
    """Whatever it was doing: importing, loading, copying, writing, committing, pruning."""
    chance = random.Random(f"{seed}{uninterrupted.data}")
    training = Training(tmp_path / "killed", uninterrupted.data)
    for _ in range(6):
        process = training.start([])
        try:
            process.wait(timeout=chance.uniform(0.2, 0.9))
        except subprocess.TimeoutExpired:
            process.kill()
        if process.wait(timeout=30) == 0:
            break
    else:
        training.finish([])
    assert training.result() == uninterrupted.result()


def test_after_sigterm_no_step_is_done_twice(uninterrupted: Training, tmp_path: Path) -> None:
    """Not only the same bits: a restart from zero would have them too."""
    training = Training(tmp_path / "paused", uninterrupted.data)
    process = training.start([])
    end = time.monotonic() + 60
    while not (training.folder / "log").exists() or len(training.lines()) < 8:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.005)
    process.terminate()
    assert process.wait(timeout=60) == 0
    paused = max(int(str(line["step"])) for line in training.lines() if "step" in line)
    training.finish([])
    steps = [line["step"] for line in training.lines() if "step" in line]
    expected = list(range(1, 25))
    # The step that paused is counted inside run.step, which raised before the script could log it.
    assert steps == [step for step in expected if step != paused + 1]
    assert training.result() == uninterrupted.result()
