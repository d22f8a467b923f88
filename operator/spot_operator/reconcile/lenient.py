"""What can be read of a spec that was stored under other rules: after a rollback, by hand.

A field that cannot be read is left out, and named, so that nothing is decided that depends on it.
Its default stands in its place, or a substitute where it has none.
"""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from spot_operator.api.job import JobSpec
from spot_operator.api.policy import PolicySpec
from spot_operator.api.validation import Problem, refusal, unreadable
from spot_operator.domain.formats.text import shorten

__all__ = ["read_claims", "read_spec", "unread"]

Json = dict[str, Any]
Path = tuple[int | str, ...]
M = TypeVar("M", bound=BaseModel)

_STORE: Final = {"s3": {"bucket": "unreadable"}}
_STAND_IN: Final[dict[str, Any]] = {"template": {}, "checkpoint": {"store": _STORE}}
"""Of required fields; the job gets no pods from it."""
QUOTED: Final = 600
"""Bytes of what is wrong, so that there is room for what to do about it."""
_ROUNDS: Final = 10
"""Each brings to light what the one before hid; then nothing of the spec is believed."""
_CLAIMS: Final = ("priorityClassNames", "allowedNamespaces", "default")


def read_spec(raw: Json) -> tuple[JobSpec, tuple[Problem, ...]]:
    """What can be read of a job's spec, and what cannot."""
    return _read(JobSpec, raw)


def read_claims(raw: Json) -> PolicySpec:
    """Whom a policy claims that cannot be read as a whole."""
    spec, _ = _read(PolicySpec, {name: raw[name] for name in _CLAIMS if name in raw})
    return spec


def unread(lost: Sequence[Problem], *, going: bool) -> str:
    """What a person is told of a job of which `lost` cannot be read; `going`: deleted, and held."""
    left = "no pod is made and none is ended"
    remedy = "Correct the field, or upgrade the operator to the version that knows it"
    if going:
        left = "none of its checkpoints is deleted, and the job stays"
        remedy += "; or set checkpoint.deletionPolicy: Retain, which lets it go without them"
    return f"the spec cannot be read, so {left}: {shorten(refusal(lost) or '', QUOTED)}. {remedy}"


def _read(kind: type[M], raw: Json) -> tuple[M, tuple[Problem, ...]]:
    spec, lost = deepcopy(raw), list[Problem]()
    for _ in range(_ROUNDS):
        try:
            return kind.model_validate(spec), tuple(lost)
        except ValidationError as error:
            lost += unreadable(error)
            _leave_out(spec, (entry["loc"] for entry in error.errors(include_url=False)))
    return kind.model_validate(_STAND_IN if kind is JobSpec else {}), tuple(lost)


def _leave_out(spec: Json, paths: Iterable[Path]) -> None:
    for path in paths:
        parent, name = _deepest(spec, path)
        parent.pop(name, None)
    for name, value in _STAND_IN.items():
        if not isinstance(spec.get(name), dict):
            spec[name] = deepcopy(value)
    spec["checkpoint"].setdefault("store", deepcopy(_STORE))


def _deepest(spec: Json, path: Path) -> tuple[Json, str]:
    """The map and the name in it that hold what `path` leads to; a list is left out whole."""
    parent, name = spec, str(path[0]) if path else ""
    for step in path[1:]:
        inner = parent.get(name)
        if not isinstance(inner, dict) or not isinstance(step, str) or step not in inner:
            break
        parent, name = inner, step
    return parent, name
