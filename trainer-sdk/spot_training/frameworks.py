"""The optional frameworks, found without importing them: what is not imported has no state here."""

from __future__ import annotations

import importlib
import sys
from typing import Any

_PACKAGES = {"torch": "spot_training.torch_state"}


def imported() -> list[Any]:
    """Our package for each framework that this process has imported."""
    return [
        importlib.import_module(package)
        for framework, package in _PACKAGES.items()
        if framework in sys.modules
    ]


def adapter(value: object) -> Any:
    """A framework's own object as something with exact state; None if no framework knows it."""
    for package in imported():
        found = package.adapter(value)
        if found is not None:
            return found
    return None
