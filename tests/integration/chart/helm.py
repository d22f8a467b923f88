"""helm as a user has it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml
from stage.install import PROJECT
from toolchain.layout import cache_from

Object = dict[str, Any]
CHART = PROJECT / "charts/spot-training-operator"
NAMESPACE = "spot-training"
RELEASE = "spot-training-operator"
PROGRAMS = cache_from(os.environ).bin


def helm(*arguments: str, within: float = 60) -> str:
    """What helm prints; raises CalledProcessError with its words."""
    done = subprocess.run(
        [str(PROGRAMS / "helm"), *arguments],
        capture_output=True,
        text=True,
        timeout=within,
        check=True,
    )
    return done.stdout


def as_flags(values: Object) -> list[str]:
    """`--set-json` for each value, by its path."""
    return [
        word
        for path, value in values.items()
        for word in ("--set-json", f"{path}={json.dumps(value)}")
    ]


def template(
    values: Object | None = None, *, release: str = RELEASE, namespace: str = NAMESPACE
) -> str:
    """What `helm template` makes of the chart with these values, by their paths."""
    return helm(
        *("template", release, str(CHART), "--namespace", namespace),
        *("--kube-version", "1.37.0", *as_flags(values or {})),
    )


def rendered(values: Object | None = None, **where: str) -> list[Object]:
    """The objects of `template`."""
    return [item for item in yaml.safe_load_all(template(values, **where)) if item]


def the(kind: str, objects: list[Object], name: str = "", namespace: str = "") -> Object:
    """The one object of that kind, and of that name and namespace where given."""
    (found,) = (
        one
        for one in objects
        if one["kind"] == kind
        and name in {"", one["metadata"]["name"]}
        and namespace in {"", one["metadata"].get("namespace")}
    )
    return found


def values_of_the_chart() -> Object:
    """values.yaml."""
    read: Object = yaml.safe_load(Path(CHART, "values.yaml").read_text())
    return read
