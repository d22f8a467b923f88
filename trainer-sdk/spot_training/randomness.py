"""Random state of this process: global generators of python, numpy and what else is imported
(torch), and the run's own."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from spot_training import frameworks
from spot_training.checkpoint import codec


def capture(rng: np.random.Generator) -> Any:
    """All states as plain data."""
    return Mark(rng).to_plain()


class Mark:
    """All states at one instant: cheap to take at every step, and made plain only if saved."""

    def __init__(self, rng: np.random.Generator) -> None:
        imported = frameworks.imported().items()
        self._states = {
            "python": random.getstate(),
            "numpy": np.random.get_state(legacy=False),
            "run": rng.bit_generator.state,
        } | {name: package.randomness.capture() for name, package in imported}

    def to_plain(self) -> Any:
        """As `capture`."""
        return codec.to_plain(self._states)


def restore(plain: Any, rng: np.random.Generator) -> None:
    """Puts all back; raises Damaged, or ValueError for another kind of generator."""
    states = codec.from_plain(plain)
    random.setstate(states.pop("python"))
    np.random.set_state(states.pop("numpy"))
    rng.bit_generator.state = states.pop("run")
    for name, state in states.items():
        frameworks.package(name).randomness.restore(state)


def generator(seed: int | None, rank: int) -> np.random.Generator:
    """The run's own generator: of (seed, rank), so that ranks draw different numbers."""
    return np.random.default_rng(None if seed is None else [seed, rank])


def seed_globals(seed: int, rank: int) -> None:
    """Seeds the global generators at a fresh start."""
    (derived,) = np.random.SeedSequence([seed, rank]).generate_state(1)
    random.seed(int(derived))
    np.random.seed(int(derived))
    for package in frameworks.imported().values():
        package.randomness.seed(int(derived))
