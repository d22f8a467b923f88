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


def adapter(value: object) -> Any:
    """A framework's own object as something with exact state; None if no framework knows it."""
    for known in imported().values():
        found = known.adapter(value)
        if found is not None:
            return found
    return None
