"""From a pydantic model to the structural schema that a CRD may carry.

The API server refuses what pydantic writes: references, titles, unions with null
(https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema).
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

Schema = dict[str, Any]

KINDS: Final[Mapping[str, Schema]] = {
    "Quantity": {
        "x-kubernetes-int-or-string": True,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
        r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
    },
    "IntOrString": {
        "x-kubernetes-int-or-string": True,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
    },
}
"""What a type marked `x-kind` becomes; a model of ours names it by `WithJsonSchema`."""

_DROPPED: Final = frozenset({"title", "x-kind", "$defs", "$ref"})


def structural(model: type[BaseModel], *, defaults: bool) -> Schema:
    """The structural schema of a model, as its JSON is written.

    With `defaults` an object without required fields gets its fields' defaults as its own, so
    that they show in every stored object, unless it may be left out altogether. Raises KeyError
    for a construct that no model here uses.
    """
    published = model.model_json_schema(by_alias=True, mode="serialization")
    return _walk(published, published.get("$defs", {}), defaults=defaults)


def _walk(node: Schema, definitions: Mapping[str, Schema], *, defaults: bool) -> Schema:
    node = _resolved(node, definitions)
    made = {key: value for key, value in node.items() if key not in _DROPPED}
    made |= KINDS.get(node.get("x-kind", ""), {})
    optional = made.get("default", ...) is None
    if optional:
        del made["default"]
    if "items" in made:
        made["items"] = _walk(made["items"], definitions, defaults=defaults)
    if "properties" in made:
        made["properties"] = {
            name: _walk(child, definitions, defaults=defaults)
            for name, child in made["properties"].items()
        }
        if defaults and not optional and not made.get("required"):
            made |= _default(made["properties"])
    return made


def _default(properties: Mapping[str, Schema]) -> Schema:
    # Written out, because the server checks the rules of an object on its default as it stands.
    values = {name: child["default"] for name, child in properties.items() if "default" in child}
    return {"default": values} if values else {}


def _resolved(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """The node with its reference and its union with null replaced by what they stand for."""
    if "anyOf" in node and "x-kind" not in node:
        (kept,) = (choice for choice in node["anyOf"] if choice != {"type": "null"})
        node = {**kept, **{key: value for key, value in node.items() if key != "anyOf"}}
    if "$ref" in node:
        named = definitions[node["$ref"].removeprefix("#/$defs/")]
        node = {**named, **{key: value for key, value in node.items() if key != "$ref"}}
    return node
