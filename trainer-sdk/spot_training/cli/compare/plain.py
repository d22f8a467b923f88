"""Where two pieces of plain data (typed state) differ. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_SHOWN = 60
_ABSENT = object()


def differences(a: Any, b: Any, path: str = "") -> Iterator[str]:
    """`path: a | b` for every leaf that differs, in the order of the paths."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            where = f"{path}/{key}" if path else key
            yield from differences(a.get(key, _ABSENT), b.get(key, _ABSENT), where)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for index, (one, other) in enumerate(zip(a, b, strict=True)):
            yield from differences(one, other, f"{path}/{index}")
    elif type(a) is not type(b) or a != b:
        yield f"{path}: {_spelled(a)} | {_spelled(b)}"


def _spelled(value: Any) -> str:
    if value is _ABSENT:
        return "missing"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
