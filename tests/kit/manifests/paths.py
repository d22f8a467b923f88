"""Fields of a manifest by their path, as the API server names them: `spec.containers[0].image`."""

import copy
import re
from typing import Any, Final

Json = dict[str, Any]

ABSENT: Final = object()
"""Instead of a value: the field is left out."""

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def changed(manifest: Json, changes: dict[str, Any]) -> Json:
    """A copy with the field at each path set; its parents are made where they are missing."""
    made = copy.deepcopy(manifest)
    for path, value in changes.items():
        *parents, last = _steps(path)
        here: Any = made
        for parent in parents:
            here = here[parent] if isinstance(here, list) else here.setdefault(parent, {})
        if value is ABSENT:
            del here[last]
        elif isinstance(here, list) and last == len(here):
            here.append(value)
        else:
            here[last] = value
    return made


def value_at(manifest: Json, path: str) -> Any:
    """What stands at `path`. Raises KeyError or IndexError where nothing does."""
    here: Any = manifest
    for step in _steps(path):
        here = here[step]
    return here


def _steps(path: str) -> list[Any]:
    return [name or int(index) for name, index in _STEP.findall(path)]
