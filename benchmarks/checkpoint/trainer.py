"""The worker that trains: torch on one thread, the SDK as a user's script has it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import spot_training as spot
import torch

from benchmarks.checkpoint.client import BUCKET, connect, unframed
from benchmarks.checkpoint.methods import Durable, Floor, Method, Ours, rivals
from benchmarks.checkpoint.states import build, tensors_of
from benchmarks.kit.worker import Json, work

QUIET_STEPS = 25
BACKGROUND_SECONDS = 120.0
"""No save takes longer to become durable."""
WIDTH = 512
"""Of the matrices that a step multiplies: some ten milliseconds on one thread."""
POLL_SECONDS = 0.002


class Trainer:
    """What one worker holds; each method is a task."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self._model: Any = None
        self._optimizer: Any = None
        self._run: Any = None
        self._ways: dict[str, Callable[[], Method]] = {}
        self._methods: dict[str, Method] = {}
        self._a = torch.rand(WIDTH, WIDTH)
        self._saves = 0

    def build(self, *, kind: str, mib: int, moments: bool = True) -> Json:
        """Make the state; without `moments` as a script has it before it resumes."""
        self._model, self._optimizer = build(kind, mib, moments=moments)
        tensors = list(tensors_of(self._model, self._optimizer))
        return {"bytes": sum(tensor.nbytes for tensor in tensors), "tensors": len(tensors)}

    def methods(self, *, folder: str) -> Json:
        """Make every way to save known; `folder` is on disk."""
        ways = rivals(Path(folder), self._model, self._optimizer)
        self._ways = {
            **ways,
            "floor": lambda: Floor(self._model, self._optimizer),
            "ours": lambda: Ours(self._run),
        }
        return {"names": list(ways)}

    def resume(self) -> Json:
        """`spot.resume`, as a script does it; when it had returned, on the monotonic clock."""
        self._run = spot.resume(model=self._model, optimizer=self._optimizer)
        return {"ready": time.monotonic(), "step": self._run.current_step}

    def step(self) -> Json:
        """One step of training."""
        self._run.step()
        return {"step": self._run.current_step}

    def save(self, *, method: str) -> Json:
        """Save once, and wait until it is durable: seconds of each."""
        way = self._method(method)
        began = time.perf_counter()
        durable = self._begin(way)
        stall = time.perf_counter() - began
        while not durable():
            _expect_in_time(began)
            time.sleep(POLL_SECONDS)
        background = time.perf_counter() - began - stall
        self._end(way)
        return {"stall": stall, "background": background}

    def train_through(self, *, method: str) -> Json:
        """Save amid training; what the steps beside the save took more is its cost as well."""
        way = self._method(method)
        quiet = median(self._timed_step() for _ in range(QUIET_STEPS))
        began = time.perf_counter()
        durable = self._begin(way)
        stall = time.perf_counter() - began
        beside: list[float] = []
        while not durable():
            _expect_in_time(began)
            beside.append(self._timed_step())
        self._end(way)
        background = sum(beside)
        slowed = max(0.0, sum(taken - quiet for taken in beside))  # less would be noise
        return {
            "stall": stall,
            "background": background,
            "slowdown": slowed / background if background else 0.0,
            "cost": stall + slowed,
        }

    def load_by_torch(self, *, url: str, ca: str | None, key: str, file: str) -> Json:
        """What a script does without us: download, torch.load, into the objects."""
        client = connect(url, ca)
        began = time.monotonic()
        client.download_file(BUCKET, key, file)
        downloaded = time.monotonic()
        held = torch.load(file)
        self._model.load_state_dict(held["model"])
        self._optimizer.load_state_dict(held["optimizer"])
        ready = time.monotonic()
        Path(file).unlink()
        return {"seconds": ready - began, "download": downloaded - began}

    def store_for_torch(self, *, url: str, ca: str | None, key: str, file: str) -> Json:
        """Put there what `load_by_torch` loads."""
        state = {"model": self._model.state_dict(), "optimizer": self._optimizer.state_dict()}
        torch.save(state, file)
        connect(url, ca, unframed()).upload_file(file, BUCKET, key)
        Path(file).unlink()
        return {}

    def _method(self, name: str) -> Method:
        if name not in self._methods:
            self._methods[name] = self._ways[name]()
        return self._methods[name]

    def _begin(self, way: Method) -> Durable:
        self._saves += 1
        return way.save(self._saves)

    def _end(self, way: Method) -> None:
        way.forget(self._saves)
        if self._run is not None:
            self._run.step()

    def _timed_step(self) -> float:
        began = time.perf_counter()
        torch.mm(self._a, self._a)
        return time.perf_counter() - began


def _expect_in_time(began: float) -> None:
    if time.perf_counter() - began > BACKGROUND_SECONDS:
        raise TimeoutError(f"not durable within {BACKGROUND_SECONDS:g} s")


if __name__ == "__main__":
    trainer = Trainer()
    work(
        {
            name: getattr(trainer, name)
            for name in (
                "build", "methods", "resume", "step", "save", "train_through", "load_by_torch",
                "store_for_torch",
            )
        }
    )  # fmt: skip
