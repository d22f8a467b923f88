"""Releases of the chart, as an administrator adds and removes them."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from stage.install import IMAGES, RELEASE, Stage, built, install
from stage.kube import Kube
from toolchain.layout import Cache

Object = dict[str, Any]
OPERATORS = "app.kubernetes.io/component=operator"


def uninstall(own: Stage, cache: Cache, namespace: str = "spot-training") -> None:
    """`helm uninstall`, hook and all."""
    subprocess.run(
        [*_helm(own, cache, namespace), "uninstall", RELEASE, "--wait", "--timeout", "240s"],
        check=True,
        timeout=300,
        stdout=subprocess.DEVNULL,
    )


def only(own: Stage, cache: Cache, watched: dict[str, str]) -> None:
    """These releases and no others: by their namespaces, what each of them watches."""
    for namespace in installed(own, cache) - set(watched):
        uninstall(own, cache, namespace)
    for namespace in set(watched) - installed(own, cache):
        add(own, cache, namespace, f"watchNamespaces={{{watched[namespace]}}}", wait=True)


def add(own: Stage, cache: Cache, namespace: str, *values: str, wait: bool) -> None:
    """One more release, of one replica."""
    chosen = [argument for value in ("replicas=1", *values) for argument in ("--set", value)]
    images = {name: built(cache, name) for name in IMAGES}
    options = (*(("--wait",) if wait else ()), *chosen)
    install(own.cluster, cache, images, namespace=namespace, options=options)


def installed(own: Stage, cache: Cache) -> set[str]:
    """The namespaces that have a release."""
    listed = subprocess.run(
        [*_helm(own, cache), "list", "--all-namespaces", "--output", "json"],
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    return {one["namespace"] for one in json.loads(listed.stdout)}


def inside(own: Stage, namespace: str) -> Kube:
    """kubectl in that namespace."""
    return Kube(own.kube.program, own.kube.kubeconfig, namespace)


def _helm(own: Stage, cache: Cache, namespace: str = "default") -> tuple[str, ...]:
    where = ("--kubeconfig", str(own.cluster.kubeconfig), "--namespace", namespace)
    return (str(cache.bin / "helm"), *where)
