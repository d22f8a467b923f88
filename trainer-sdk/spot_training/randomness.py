"""Random state of this process: python's and numpy's global generators, and the run's own."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from spot_training.checkpoint import codec


def capture(rng: np.random.Generator) -> Any:
    """All three states as plain data."""
    return codec.to_plain(
        {
            "python": random.getstate(),
            "numpy": np.random.get_state(legacy=False),
            "run": rng.bit_generator.state,
        }
    )


def restore(plain: Any, rng: np.random.Generator) -> None:
    """Puts all three back; raises Damaged, or ValueError for another kind of generator."""
    states = codec.from_plain(plain)
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    rng.bit_generator.state = states["run"]


def generator(seed: int | None, rank: int) -> np.random.Generator:
    """The run's own generator: of (seed, rank), so that ranks draw different numbers."""
    return np.random.default_rng(None if seed is None else [seed, rank])


def seed_globals(seed: int, rank: int) -> None:
    """Seeds python's and numpy's global generators at a fresh start."""
    (derived,) = np.random.SeedSequence([seed, rank]).generate_state(1)
    random.seed(int(derived))
    np.random.seed(int(derived))
