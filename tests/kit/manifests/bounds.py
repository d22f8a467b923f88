"""Each bound in a CRD with a value at its edge and one beyond, derived from the schema itself."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from kit.manifests.paths import ABSENT
from spot_operator.api.crd import field_schema
from spot_operator.api.template_rules import TEMPLATE_BOUNDS

Json = dict[str, Any]

_LENGTHS: Final = ("minLength", "maxLength", "minItems", "maxItems", "maxProperties")
_RANGES: Final = ("minimum", "maximum")
SAYS: Final = {
    "maxLength": "may not be more than",
    "maxItems": "must have at most",
    "maxProperties": "must have at most",
    "minLength": "should be at least",
    "minItems": "should have at least",
    "minimum": "should be greater than or equal to",
    "maximum": "should be less than or equal to",
    "enum": "supported values",
    "required": "Required value",
    "type": "must be of type",
}
"""How the API server words each kind of refusal."""


@dataclass(frozen=True)
class Bounded:
    """A bound, and values on both sides of it."""

    path: str
    keyword: str
    allowed: tuple[Any, ...]
    refused: Any

    def __str__(self) -> str:
        return f"{self.path}-{self.keyword}"


def job_bounds(crd: Json) -> list[Bounded]:
    """Every bound of a job's spec, those within the template that are ours included."""
    root = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return [*_walk(root["properties"]["spec"], "spec")] + [
        _length(bound.at.replace("[]", "[0]"), bound.keyword, bound.limit, _of(root, bound.at))
        for bound in TEMPLATE_BOUNDS
    ]


def policy_bounds(crd: Json) -> list[Bounded]:
    """Every bound of a policy's spec."""
    root = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return list(_walk(root["properties"]["spec"], "spec"))


def _of(root: Json, path: str) -> Json:
    return field_schema(root, path)


def _foreign(path: str) -> bool:
    """Whether Kubernetes' own schema says so; we answer for no more than its being there."""
    return path.startswith("spec.template.") and path != "spec.template.spec"


def _walk(schema: Json, path: str) -> Iterator[Bounded]:
    if _foreign(path):
        return
    yield from (_length(path, one, schema[one], schema) for one in _LENGTHS if one in schema)
    yield from (_range(path, one, schema[one]) for one in _RANGES if one in schema)
    if "enum" in schema:
        yield Bounded(path, "enum", tuple(schema["enum"]), "Nonsense")
    if "type" in schema:
        yield Bounded(path, "type", (), [] if schema["type"] != "array" else {})
    for name in schema.get("required", ()):
        yield Bounded(f"{path}.{name}", "required", (), ABSENT)
    for name, child in schema.get("properties", {}).items():
        yield from _walk(child, f"{path}.{name}")
    if "items" in schema:
        yield from _walk(schema["items"], f"{path}[0]")


def _range(path: str, keyword: str, limit: float) -> Bounded:
    return Bounded(path, keyword, (limit,), limit + (1 if keyword == "maximum" else -1))


def _length(path: str, keyword: str, limit: int, schema: Json) -> Bounded:
    make = next((make for end, make in _SHAPES.items() if path.endswith(end)), _plain(schema))
    beyond = limit + 1 if keyword.startswith("max") else limit - 1
    return Bounded(path, keyword, (make(limit),), make(beyond))


def _plain(schema: Json) -> Callable[[int], Any]:
    if schema["type"] == "string":
        return "a".__mul__
    if schema["type"] == "array":
        return lambda count: [f"item-{number}" for number in range(count)]
    return lambda count: {f"key-{number}": "x" for number in range(count)}


def _duration(length: int) -> str:
    # A minute, with as many noughts as it takes.
    return f"0000h000000m{60:0{length - 13}d}s"


def _quarter_hour(length: int) -> str:
    # Beyond the interval of the good manifest.
    return f"0000h000000m{900:0{length - 13}d}s"


_SHAPES: Final[dict[str, Callable[[int], Any]]] = {
    "interval": _duration,
    "maxLostWork": _quarter_hour,
    "milestoneEvery": _duration,
    "stallTimeout": _duration,
    "backoff.initial": _duration,
    "backoff.max": _duration,
    "unreachable.after": _duration,
    "interruptions.window": _duration,
    "directory.settle": _duration,
    "directory.path": lambda length: "/".ljust(length, "a"),
    "resumeFrom.checkpoint": lambda length: f"a00000002-s000000001200-{'0123abcd':0<{length - 24}}",
    "endpointURL": lambda length: "https://".ljust(length, "a"),
    "mountPath": lambda length: "/".ljust(length, "a"),
    "ontainers": lambda count: [
        {"name": f"c{number}" if number else "trainer", "image": "a"} for number in range(count)
    ],
    "env": lambda count: [{"name": f"V{number}", "value": "x"} for number in range(count)],
    "envFrom": lambda count: [{"prefix": f"P{number}"} for number in range(count)],
    "volumeMounts": lambda count: [
        {"name": "data", "mountPath": f"/m{number}"} for number in range(count)
    ],
    "devicePath": lambda length: "/".ljust(length, "a"),
    "volumeDevices": lambda count: [
        {"name": "disk", "devicePath": f"/d{number}"} for number in range(count)
    ],
    "ports": lambda count: [{"containerPort": 1000 + number} for number in range(count)],
    "volumes": lambda count: [{"name": f"v{number}", "emptyDir": {}} for number in range(count)],
    "nodeSelectorTerms": lambda count: [
        {"matchExpressions": [{"key": f"k{number}", "operator": "Exists"}]}
        for number in range(count)
    ],
}
"""How to make a value of a given length, by the end of the path, where it is more than letters."""
