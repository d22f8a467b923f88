"""What the chart renders is what a strict API server takes, and what it refuses says why."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from stage.install import PROJECT
from stage.kube import Kube, KubectlError
from stage.waiting import until
from toolchain.layout import cache_from

pytestmark = pytest.mark.apiserver

Object = dict[str, Any]
CHART = PROJECT / "charts/spot-training-operator"
NAMESPACE = "spot-training"
PROGRAMS = cache_from(os.environ).bin


@pytest.fixture(scope="module")
def kube(api_server_kubeconfig: str) -> Kube:
    """A server that knows our kinds and has the operator's namespace."""
    kube = Kube(PROGRAMS / "kubectl", Path(api_server_kubeconfig), NAMESPACE)
    kube.run("apply", "--server-side", "--filename", str(PROJECT / "crds"))
    until("both kinds are served", lambda: served(kube), within=30)
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    return kube


def test_helm_lint_finds_nothing() -> None:
    helm("lint", str(CHART), "--strict")


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param([], id="defaults"),
        pytest.param(["replicas=1", "pdb.enabled=false", "rbac.aggregate=false"], id="one replica"),
        pytest.param(["image.digest=sha256:" + "a" * 64], id="image by digest"),
        pytest.param(
            ["presets.experiment.enabled=false", "notices.imds=false"], id="fewer presets"
        ),
        pytest.param(["nodeSelector.pool=system", "podAnnotations.team=ml"], id="placed"),
    ],
)
def test_every_rendered_object_is_accepted_strictly(kube: Kube, chosen: list[str]) -> None:
    objects = rendered(chosen)
    assert {"Deployment", "SpotPolicy", "ClusterRole", "Secret"} <= {o["kind"] for o in objects}
    for item in objects:
        place = item["metadata"].get("namespace", NAMESPACE)
        Kube(kube.program, kube.kubeconfig, place).run(
            *("apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename", "-"),
            stdin=yaml.safe_dump(item),
        )


def test_presets_differ_in_budgets_and_backoff() -> None:
    presets = {o["metadata"]["name"]: o["spec"] for o in rendered([]) if o["kind"] == "SpotPolicy"}
    assert set(presets) == {"default", "scheduled-retraining", "experiment", "long-running"}
    assert len({str(spec["interruptions"]) for spec in presets.values()}) == 4
    assert len({str(spec["backoff"]) for spec in presets.values()}) == 4


def test_the_operator_may_read_no_secret_but_its_own() -> None:
    rules = [
        rule
        for item in rendered([])
        if item["kind"] in {"ClusterRole", "Role"}
        for rule in item["rules"]
        if {"secrets", "*"} & set(rule["resources"])
    ]
    assert [rule["resourceNames"] for rule in rules] == [["spot-training-reports-ca"]]


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ("replicas=0", "replicas"),
        ("log.level=loud", "level"),
        ("image.digest=latest", "digest"),
        ("sidecar.image.pullPolicy=Sometimes", "pullPolicy"),
        ("replica=2", "replica"),
    ],
)
def test_a_wrong_value_is_refused_by_name(chosen: str, told: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        rendered([chosen])
    assert told in refused.value.stderr


def served(kube: Kube) -> bool:
    """Whether the server answers for both of our kinds."""
    try:
        for kind in ("spottrainingjobs", "spotpolicies"):
            kube.list(kind)
    except KubectlError:
        return False
    return True


def rendered(chosen: list[str]) -> list[Object]:
    """The objects that `helm template` makes of the chart with these values."""
    values = [argument for value in chosen for argument in ("--set", value)]
    text = helm(
        *("template", "spot-training-operator", str(CHART), "--namespace", NAMESPACE),
        *("--kube-version", "1.37.0", *values),
    )
    return [item for item in yaml.safe_load_all(text) if item]


def helm(*arguments: str) -> str:
    """What helm prints; raises CalledProcessError with its words."""
    done = subprocess.run(
        [str(PROGRAMS / "helm"), *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout
