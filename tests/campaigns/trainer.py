"""The training of campaigns: after step n its whole state is a function of n alone.

What it prints, one JSON object a line: `resumed` with the step and what of the state is not, byte
by byte, what belongs to that step, `step`, and `complete` with a digest of the final state.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import spot_training as spot
from spot_training import randomness

SEED = 7
Numbers = npt.NDArray[np.float64]


@dataclass(slots=True)
class State:
    """`w` takes every step's noise, `last` is overwritten by each; together they show any slip."""

    w: Numbers
    last: Numbers
    slope: Numbers = field(init=False)
    """No two elements of `w` are alike: a block in another's place shows."""

    def __post_init__(self) -> None:
        self.slope = np.linspace(1, 2, len(self.w))

    @classmethod
    def zero(cls, size: int) -> State:
        return cls(np.zeros(size), np.zeros(size))

    def train(self, step: int, rng: np.random.Generator) -> None:
        """The step's update: a wrong, lost or doubled step shows in the bits."""
        noise = rng.standard_normal()
        self.w *= 0.999
        self.w += noise * step * self.slope
        self.last[:] = noise
        self.last[:: max(1, len(self.last) // 64)] = step

    def digests(self, rng: np.random.Generator) -> dict[str, str]:
        """One for each array, and one for the randomness to come."""
        random = json.dumps(rng.bit_generator.state, default=str).encode()
        parts = {"w": self.w.tobytes(), "last": self.last.tobytes(), "random": random}
        return {name: hashlib.sha256(body).hexdigest() for name, body in parts.items()}

    def digest(self) -> str:
        return hashlib.sha256(self.w.tobytes() + self.last.tobytes()).hexdigest()


@functools.lru_cache(maxsize=8)
def after(size: int, step: int) -> tuple[State, np.random.Generator]:
    """What there is after `step` steps without any interruption, checkpoint or SDK run."""
    state, rng = State.zero(size), randomness.generator(SEED, 0)
    for number in range(1, step + 1):
        state.train(number, rng)
    return state, rng


def uninterrupted(size: int, step: int) -> str:
    """The digest of the arrays then."""
    return after(size, step)[0].digest()


def main() -> None:
    """`size pause target`: train until the step in the file `target`, then complete."""
    size, pause, target = int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])
    state = State.zero(size)
    run = spot.resume(arrays={"w": state.w, "last": state.last}, seed=SEED)
    _tell(event="resumed", step=run.current_step, wrong=_wrong(state, run.rng, run.current_step))
    while run.current_step < _goal(target):
        state.train(run.current_step + 1, run.rng)
        time.sleep(pause)
        _tell(event="step", step=run.current_step + 1)
        run.step(samples=1)
    run.complete()
    _tell(event="complete", step=run.current_step, digest=state.digest())


def _wrong(state: State, rng: np.random.Generator, step: int) -> list[str]:
    """What of the state does not belong to this step, by name."""
    there, random = after(len(state.w), step)
    right = there.digests(random)
    return [name for name, digest in state.digests(rng).items() if digest != right[name]]


def _goal(target: Path) -> float:
    return int(target.read_text()) if target.exists() else float("inf")


def _tell(**line: Any) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
