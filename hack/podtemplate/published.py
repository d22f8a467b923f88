"""From the published schema of a pod template to a structural one for our CRD."""

import json
from pathlib import Path
from typing import Any, Final

from spot_operator.api.structural import KINDS, Schema

VERSION: Final = "v1.37.1"
"""The newest supported Kubernetes; its pods have every field of the older ones."""
SOURCE: Final = Path(__file__).parent / f"kubernetes-{VERSION}.json"

_CORE: Final = "io.k8s.api.core.v1."
_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
_QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING: Final = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_PREFIX: Final = "#/components/schemas/"

# What an embedded object may say of itself; without these two names the server would drop them.
_OBJECT_META: Final[Schema] = {
    "type": "object",
    "description": "Labels and annotations.",
    "properties": {
        name: {
            "type": "object",
            "description": description,
            "additionalProperties": {"type": "string"},
        }
        for name, description in (
            ("labels", "Map of string keys and values to organize and select objects."),
            ("annotations", "Map of string keys and values that tools store and read."),
        )
    },
}
# A pod takes `cpu: 0.5`, a number with a fraction, for which a structural schema has no type; text
# is held to the pattern all the same.
_ANY_QUANTITY: Final[Schema] = {
    "x-kubernetes-preserve-unknown-fields": True,
    "pattern": KINDS["Quantity"]["pattern"],
    "maxProperties": 0,
    "maxItems": 0,
}
_REPLACED: Final[dict[str, Schema]] = {
    _QUANTITY: _ANY_QUANTITY,
    _INT_OR_STRING: KINDS["IntOrString"],
    f"{_META}ObjectMeta": _OBJECT_META,
    f"{_META}Time": {"type": "string", "format": "date-time"},
}

# A pod with these cannot be created, whoever asks.
_ABSENT: Final = {f"{_CORE}PodSpec": {"ephemeralContainers"}}
# The key of a list map must be there; the published schema relies on a zero value.
_REQUIRED: Final = {f"{_CORE}LocalObjectReference": ["name"]}
# Published defaults are the pod's own: it gets them when it is created. Map keys must have theirs.
_DEFAULTS: Final = {(f"{_CORE}ContainerPort", "protocol")}

_KEPT: Final = (
    "type",
    "format",
    "description",
    "enum",
    "required",
    "additionalProperties",
    "properties",
    "items",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
)


def pod_template() -> Schema:
    """The structural schema of a PodTemplateSpec, references resolved."""
    schemas: dict[str, Schema] = json.loads(SOURCE.read_text())["schemas"]
    return _named(f"{_CORE}PodTemplateSpec", schemas)


def _named(name: str, schemas: dict[str, Schema]) -> Schema:
    if name in _REPLACED:
        return dict(_REPLACED[name])
    made = _walk(schemas[name], schemas)
    made.pop("description", None)
    if "properties" in made:
        absent = _ABSENT.get(name, set())
        made["properties"] = {
            field: _with_default(child, schemas[name]["properties"][field], (name, field))
            for field, child in made["properties"].items()
            if field not in absent
        }
    if name in _REQUIRED:
        made["required"] = _REQUIRED[name]
    return made


def _with_default(made: Schema, published: Schema, where: tuple[str, str]) -> Schema:
    return {**made, "default": published["default"]} if where in _DEFAULTS else made


def _walk(node: Schema, schemas: dict[str, Schema]) -> Schema:
    reference = node.get("$ref") or next((part["$ref"] for part in node.get("allOf", ())), None)
    base = _named(reference.removeprefix(_PREFIX), schemas) if reference else {}
    made: Schema = base | {key: node[key] for key in _KEPT if key in node}
    return {key: _child(key, value, schemas) for key, value in made.items()} if not base else made


def _child(key: str, value: Any, schemas: dict[str, Schema]) -> Any:
    if key == "properties":
        return {name: _walk(child, schemas) for name, child in value.items()}
    if key in {"items", "additionalProperties"} and isinstance(value, dict):
        return _walk(value, schemas)
    return value
