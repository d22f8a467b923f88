"""The optional frameworks, found without importing them: what is not imported has no state here."""

from __future__ import annotations

import importlib
import sys
from typing import Any

_PACKAGES = {"torch": "spot_training.torch_state"}


def imported() -> dict[str, Any]:
    """Our package for each framework that this process has imported, by the framework's name."""
    return {name: package(name) for name in _PACKAGES if name in sys.modules}


def package(framework: str) -> Any:
    """Our package for this framework; imports both. Raises ModuleNotFoundError without it."""
    return importlib.import_module(_PACKAGES[framework])


def source(data: object) -> Any:
    """A framework's own kind of data as a `sources.Source`; None if no framework knows it."""
    found = (known.source(data) for known in imported().values())
    return next((source for source in found if source is not None), None)


def generators() -> tuple[type, ...]:
    """The types of random generators of all frameworks imported."""
    return tuple(kind for known in imported().values() for kind in known.GENERATORS)


def seeded(dataset: Any, *, seed: int) -> Any:
    """`dataset` (torch's map-style: `dataset[i]`, `len(dataset)`) with a seed for each sample.

    The global generators of python, numpy and torch begin anew with (seed, epoch, index) at every
    sample, so that augmentation is the same whichever worker does it and whatever came before.
    Consumed samples need not be fetched again after an interruption, and workers may persist. Give
    it to the DataLoader, and the DataLoader to `run.batches`. Raises ModuleNotFoundError without
    torch, ValueError for a seed below 0.
    """
    if seed < 0:
        raise ValueError(f"seed={seed}: give 0 or more")
    return package("torch").SeededSamples(dataset, seed=seed)


def adapter(value: object) -> Any:
    """A framework's own object as something with exact state; None if no framework knows it."""
    for known in imported().values():
        found = known.adapter(value)
        if found is not None:
            return found
    return None
