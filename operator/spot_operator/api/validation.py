"""What the API server cannot check within its cost limits; the operator reports it by condition.

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
    return (*_hidden_mounts(pod), *_report_tokens(pod))


def unreadable(error: ValidationError) -> tuple[Problem, ...]:
    """The problems of a spec that the models do not take: it was stored under other rules."""
    return tuple(
        Problem(".".join(("spec", *map(str, entry["loc"]))), entry["msg"])
        for entry in error.errors(include_url=False, include_context=False, include_input=False)
    )


def refusal(found: Sequence[Problem]) -> str | None:
    """All problems as one message; None when there are none."""
    return "; ".join(map(str, found)) or None


def _hidden_mounts(pod: Json) -> Iterator[Problem]:
    """Mounts that are the operator's, or cover them, once `..` and double slashes are resolved."""
    for where, mount in _each(pod, "volumeMounts"):
        path = posixpath.normpath("/" + str(mount.get("mountPath", "")).lstrip("/"))
        if path == "/" or f"{path}/".startswith(f"{names.RESERVED_MOUNT}/"):
            yield Problem(
                f"{where}.mountPath",
                f"{mount.get('mountPath')!r} is {path}, which hides the operator's "
                f"{names.RESERVED_MOUNT}: mount elsewhere",
            )


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


def _sources(volume: Json) -> Iterable[Json]:
    return (volume.get("projected") or {}).get("sources") or ()


def _each(pod: Json, field: str) -> Iterator[tuple[str, Json]]:
    """The items of a list field of every container, each with its path."""
    for kind in _CONTAINER_LISTS:
        for index, container in enumerate(pod.get(kind) or ()):
            for number, item in enumerate(container.get(field) or ()):
                yield f"{_POD}.{kind}[{index}].{field}[{number}]", item
