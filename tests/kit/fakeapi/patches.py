"""What the three kinds of patch do to an object."""

from collections.abc import Sequence
from typing import Any

import jsonpatch
import jsonpointer
from spot_operator.control.client import Json, PatchKind
from spot_operator.control.errors import BadRequest, Invalid

__all__ = ["patched"]


def patched(current: Json, patch: Json | Sequence[Json], kind: PatchKind) -> Json:
    """A new object: `current` with `patch` applied.

    Raises:
        Invalid: an operation of a JSON patch does not apply, `test` included.
        BadRequest: the body does not fit the kind, or the kind is APPLY: field ownership is the
            real server's to model, and nothing here relies on it.
    """
    if kind is PatchKind.JSON and not isinstance(patch, dict):
        return _json_patched(current, patch)
    if kind is PatchKind.MERGE and isinstance(patch, dict):
        merged: Json = _merged(current, patch)
        return merged
    raise BadRequest(f"this body is no {kind.value}, or the fake does not know how to apply it")


def _json_patched(current: Json, operations: Sequence[Json]) -> Json:
    try:
        result: Json = jsonpatch.apply_patch(current, list(operations))
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise Invalid(f"the server rejected our request: {error}") from error
    return result


def _merged(current: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(current) if isinstance(current, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result
