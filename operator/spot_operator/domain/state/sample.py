"""A ledger with every field set, made from the types, so that a new field is never forgotten.

It is what an API server is asked about: does it keep all that a status may hold?
"""

import types
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

_PLAIN: Final[dict[type, Any]] = {
    int: 7,
    float: 2.5,
    bool: True,
    str: "something",
    datetime: datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC),
    timedelta: timedelta(seconds=90),
}


def filled(kind: type[T]) -> T:
    """A dataclass whose optional fields are all there and whose tuples hold one value."""
    hints = get_type_hints(kind)
    return kind(**{one.name: _value(hints[one.name]) for one in fields(kind)})  # type: ignore[arg-type]


def _value(hint: Any) -> Any:
    arguments = get_args(hint)
    if get_origin(hint) in {Union, types.UnionType}:
        return _value(next(one for one in arguments if one is not types.NoneType))
    if get_origin(hint) is Literal:
        return arguments[0]
    if get_origin(hint) is tuple:
        return tuple(_value(one) for one in arguments if one is not Ellipsis)
    if issubclass(hint, Enum):
        return next(iter(hint))
    return _PLAIN[hint] if hint in _PLAIN else filled(hint)
