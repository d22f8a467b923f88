"""What the API server cannot check within its cost limits; the operator reports it by condition.

What would hand the sidecar's secrets to another container is checked here as well: a job may have
been stored before the CRD had its rule.

A job with a problem gets no pods, and condition Succeeded=Unknown with reason InvalidSpec says why.
"""

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from spot_operator.api import names
from spot_operator.api.job import JobSpec

_POD: Final = "spec.template.spec"
_CONTAINER_LISTS: Final = ("initContainers", "containers")
_OPEN_DOORS: Final = ("shareProcessNamespace", "hostPID")

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a spec that the user must change."""

    path: str
    """The field, from the root of the object."""
    message: str
    """What is wrong with it and what to write instead."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def problems(spec: JobSpec) -> tuple[Problem, ...]:
    """All there is to object to, in the order of the template; empty for a spec that can run."""
    pod = spec.template.get("spec") or {}
    return (
        *_open_doors(pod),
        *_hidden_mounts(pod),
        *_hidden_devices(pod),
        *_reserved_volumes(pod),
        *_report_tokens(pod),
        *_no_quantities(pod),
    )


def unreadable(error: ValidationError) -> tuple[Problem, ...]:
    """The problems of a spec that the models do not take: it was stored under other rules."""
    return tuple(
        Problem(".".join(("spec", *map(str, entry["loc"]))), entry["msg"])
        for entry in error.errors(include_url=False, include_context=False, include_input=False)
    )


def refusal(found: Sequence[Problem]) -> str | None:
    """All problems as one message; None when there are none."""
    return "; ".join(map(str, found)) or None


def _open_doors(pod: Json) -> Iterator[Problem]:
    """What lets one container read the memory and the files of another."""
    for field in _OPEN_DOORS:
        if pod.get(field):
            yield Problem(
                f"{_POD}.{field}",
                "with it the trainer could read the store's credentials out of the sidecar: "
                "leave it out",
            )


def _hidden_mounts(pod: Json) -> Iterator[Problem]:
    """Mounts that are the operator's, or cover them, once `..` and double slashes are resolved."""
    for where, mount in _each(pod, "volumeMounts"):
        path = _normal(mount.get("mountPath"))
        if path == "/" or f"{path}/".startswith(f"{names.RESERVED_MOUNT}/"):
            yield Problem(
                f"{where}.mountPath",
                f"{mount.get('mountPath')!r} is {path}, which hides the operator's "
                f"{names.RESERVED_MOUNT}: mount elsewhere",
            )


def _hidden_devices(pod: Json) -> Iterator[Problem]:
    """Block devices at a path that is the operator's."""
    for where, device in _each(pod, "volumeDevices"):
        path = _normal(device.get("devicePath"))
        if f"{path}/".startswith(f"{names.RESERVED_MOUNT}/"):
            yield Problem(
                f"{where}.devicePath",
                f"{device.get('devicePath')!r} is {path}, which is the operator's: choose another",
            )


def _reserved_volumes(pod: Json) -> Iterator[Problem]:
    """Every way in which a container may name a volume that is the operator's."""
    named = [
        *(("name", where, item) for where, item in _each(pod, "volumeMounts")),
        *(("name", where, item) for where, item in _each(pod, "volumeDevices")),
        *(
            ("volumeName", f"{where}.valueFrom.fileKeyRef", _file_key(item))
            for where, item in _each(pod, "env")
        ),
    ]
    for field, where, item in named:
        name = str(item.get(field, ""))
        if name.startswith(names.RESERVED_PREFIX):
            yield Problem(
                f"{where}.{field}",
                f"volume {name} is the operator's, and may hold what only the sidecar may see: "
                "use a volume of your own",
            )


def _file_key(entry: Json) -> Json:
    found: Json = (entry.get("valueFrom") or {}).get("fileKeyRef") or {}
    return found


def _normal(path: Any) -> str:
    """The path with `..` and double slashes resolved, as the container runtime will see it."""
    return posixpath.normpath("/" + str(path or "").lstrip("/"))


def _report_tokens(pod: Json) -> Iterator[Problem]:
    """Tokens with which a container could report in the sidecar's name."""
    for index, volume in enumerate(pod.get("volumes") or ()):
        for number, source in enumerate(_sources(volume)):
            token = source.get("serviceAccountToken") or {}
            if token.get("audience") == names.TOKEN_AUDIENCE:
                yield Problem(
                    f"{_POD}.volumes[{index}].projected.sources[{number}]"
                    ".serviceAccountToken.audience",
                    f"{names.TOKEN_AUDIENCE} is for the sidecar's reports: use another audience",
                )


def _no_quantities(pod: Json) -> Iterator[Problem]:
    """What the schema has no word to refuse, for it takes every number, as a pod does."""
    holders = [(_POD, pod)]
    for kind in _CONTAINER_LISTS:
        listed = enumerate(pod.get(kind) or ())
        holders += [(f"{_POD}.{kind}[{number}]", container) for number, container in listed]
    for where, holder in holders:
        for kind in ("limits", "requests"):
            for name, value in ((holder.get("resources") or {}).get(kind) or {}).items():
                if isinstance(value, bool) or not isinstance(value, (int, float, str)):
                    yield Problem(
                        f"{where}.resources.{kind}[{name}]",
                        f"{value!r} is not a quantity: write a number, or text as '500m' or '2Gi'",
                    )


def _sources(volume: Json) -> Iterable[Json]:
    return (volume.get("projected") or {}).get("sources") or ()


def _each(pod: Json, field: str) -> Iterator[tuple[str, Json]]:
    """The items of a list field of every container, each with its path."""
    for kind in _CONTAINER_LISTS:
        for index, container in enumerate(pod.get(kind) or ()):
            for number, item in enumerate(container.get(field) or ()):
                yield f"{_POD}.{kind}[{index}].{field}[{number}]", item
