"""Frozen dataclasses <-> canonical JSON documents with a self-digest.

Field names are camelCase in JSON (`pod_uid` is `podUID`). Fields that a reader does not know are
kept in `extra` and written back, so that an older tool can copy a newer document unharmed.
A document names its schema; one that needs a newer reader is refused, never guessed at.
"""

# ruff: noqa: N818 - errors are named for what happened
from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import types
import typing
from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

SUPPORTED_SCHEMA = 1

OPTIONAL = {"optional": True}
"""`field(default=None, metadata=OPTIONAL)`: came after the first version, and is left out where it
is None, so that documents without it stay byte for byte what they were."""

Record = TypeVar("Record", bound=Hashable)


class FormatError(Exception):
    """A document or file is not what it says it is.

    FormatError
    ├── Damaged             bytes or fields are wrong: evidence against the checkpoint
    └── UnsupportedSchema   written by a newer version: no evidence, the reader must be upgraded
    """


class Damaged(FormatError):
    """The content contradicts its digest or lacks what every writer writes."""


class UnsupportedSchema(FormatError):
    """The content needs a newer reader than this one."""


def dump(record: Any) -> bytes:
    """Canonical bytes of a record, its own SHA-256 in the field `digest`."""
    body = to_json(record)
    body.pop("digest", None)
    return canonical(body | {"digest": _digest(body)})


def load(kind: type[Record], body: bytes) -> Record:
    """The record in `body`.

    Raises Damaged if it does not parse, lacks a field or contradicts its digest, and
    UnsupportedSchema if a newer version wrote it.
    """
    data = _parse(body)
    stated = data.pop("digest", None)
    whole = stated == _digest(data)
    if whole or stated is None:  # a flipped bit makes a "newer" schema as well
        _expect_supported(kind.__name__, data)
    if not whole:
        raise Damaged(f"{kind.__name__}: the content does not match its own digest {stated}")
    return from_json(kind, data)


def record_digest(record: Any) -> str:
    """The digest that `dump` writes into the document: hex SHA-256 of the canonical rest."""
    body = to_json(record)
    body.pop("digest", None)
    return _digest(body)


def canonical(data: Any) -> bytes:
    """JSON with sorted keys, no spaces, ASCII only; NaN and infinities are refused (ValueError)."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def to_json(record: Any) -> dict[str, Any]:
    """The record as plain JSON data, unknown fields included."""
    data = {
        _camel(field.name): _plain(getattr(record, field.name))
        for field in dataclasses.fields(record)
        if field.name != "extra" and not _left_out(field, getattr(record, field.name))
    }
    return dict(getattr(record, "extra", {})) | data


def from_json(kind: type[Record], data: Mapping[str, Any]) -> Record:
    """The record in plain JSON data; raises Damaged naming the field that is wrong."""
    if not isinstance(data, Mapping):
        raise Damaged(f"{kind.__name__}: expected an object, found {type(data).__name__}")
    known = _fields(kind)
    values: dict[str, Any] = {
        field: _typed(hint, data[name], f"{kind.__name__}.{name}")
        for name, (field, hint) in known.items()
        if name in data
    }
    if _keeps_extra(kind):
        values["extra"] = {key: value for key, value in data.items() if key not in known}
    try:
        return kind(**values)
    except TypeError as error:
        raise Damaged(f"{kind.__name__}: {error}") from error


def _left_out(field: dataclasses.Field[Any], value: Any) -> bool:
    """Whether an optional field has nothing to say: it is then written as if it did not exist."""
    return value is None and OPTIONAL.items() <= field.metadata.items()


def _parse(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"the document is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise Damaged(f"the document is a JSON {type(data).__name__}, not an object")
    return data


def _finite(text: str) -> float:
    """Raises ValueError for what `canonical` could not have written."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a number that a document may hold")
    return value


def _expect_supported(name: str, data: Mapping[str, Any]) -> None:
    for field in ("schema", "minReader"):
        value = data.get(field, 0)
        if isinstance(value, int) and value > SUPPORTED_SCHEMA:
            raise UnsupportedSchema(
                f"{name} has {field} {value}, this version reads up to {SUPPORTED_SCHEMA}: "
                "upgrade spot-training here, or resume with the version that wrote it"
            )


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(body)).hexdigest()


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join("UID" if part == "uid" else part.capitalize() for part in rest)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


@functools.cache
def _fields(kind: type[Any]) -> dict[str, tuple[str, Any]]:
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind) if field.name != "extra"]
    return {_camel(name): (name, hints[name]) for name in names}


@functools.cache
def _keeps_extra(kind: type[Any]) -> bool:
    return any(field.name == "extra" for field in dataclasses.fields(kind))


def _typed(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return _optional(hint, value, where)
    if origin is tuple:
        return tuple(_items(typing.get_args(hint)[0], value, where))
    if origin in (dict, Mapping):
        return _mapping(typing.get_args(hint)[1], value, where)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        nested: Any = hint
        return from_json(nested, value)
    return _scalar(hint, value, where)


def _optional(hint: Any, value: Any, where: str) -> Any:
    if value is None:
        return None
    (inner,) = (arg for arg in typing.get_args(hint) if arg is not type(None))
    return _typed(inner, value, where)


def _items(hint: Any, value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise Damaged(f"{where}: expected a list, found {value!r}")
    return [_typed(hint, item, f"{where}[{index}]") for index, item in enumerate(value)]


def _mapping(hint: Any, value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Damaged(f"{where}: expected an object, found {value!r}")
    return {key: _typed(hint, item, f"{where}.{key}") for key, item in value.items()}


def _scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is Any:
        return value
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise Damaged(f"{where}: expected {hint.__name__}, found {value!r}")
    return value
