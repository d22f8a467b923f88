"""What the chart renders is what a strict API server takes."""

from __future__ import annotations

from pathlib import Path
from subprocess import CalledProcessError, run
from typing import Any

import pytest
import yaml
from integration.chart.helm import CHART, NAMESPACE, PROGRAMS, helm, rendered, template
from stage.install import PROJECT
from stage.kube import Kube, KubectlError
from stage.waiting import until

pytestmark = pytest.mark.apiserver

Object = dict[str, Any]


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
        pytest.param({}, id="defaults"),
        pytest.param(
            {"replicas": 1, "pdb.enabled": False, "rbac.aggregate": False}, id="one replica"
        ),
        pytest.param({"image.digest": "sha256:" + "a" * 64}, id="image by digest"),
        pytest.param(
            {"presets.experiment.enabled": False, "notices.imds": False}, id="fewer presets"
        ),
        pytest.param({"watchNamespaces": ["default", NAMESPACE]}, id="namespaces of its own"),
        pytest.param({"presets.priorityClasses.create": True}, id="priority classes"),
        pytest.param(
            {"podSecurityContext.runAsUser": None, "topologySpreadConstraints": []}, id="openshift"
        ),
        pytest.param(
            {
                "networkPolicy.enabled": True,
                "networkPolicy.reportsFrom": [{"ipBlock": {"cidr": "10.0.0.0/16"}}],
                "networkPolicy.metricsFrom": [{"namespaceSelector": {}}],
                "networkPolicy.apiServer": [{"ipBlock": {"cidr": "10.0.0.1/32"}}],
            },
            id="network policy",
        ),
        pytest.param(
            {"networkPolicy.enabled": True, "watchNamespaces": ["default"]}, id="policy by name"
        ),
        pytest.param(
            {
                "nodeSelector": {"pool": "system"},
                "tolerations": [{"key": "system", "operator": "Exists"}],
                "affinity": {"nodeAffinity": {}},
                "podAnnotations": {"team": "ml"},
                "podLabels": {"team": "ml"},
                "commonLabels": {"owner": "platform"},
                "priorityClassName": "system-cluster-critical",
                "imagePullSecrets": [{"name": "pull"}],
                "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
                "pdb.maxUnavailable": "50%",
                "sidecar.imagePullSecrets": ["pull"],
            },
            id="placed",
        ),
    ],
)
def test_every_rendered_object_is_accepted_strictly(kube: Kube, chosen: Object) -> None:
    objects = rendered(chosen)
    assert {"Deployment", "SpotPolicy", "ClusterRole", "Secret"} <= {o["kind"] for o in objects}
    for item in objects:
        place = item["metadata"].get("namespace", NAMESPACE)
        Kube(kube.program, kube.kubeconfig, place).run(
            *("apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename", "-"),
            stdin=yaml.safe_dump(item),
        )


def test_what_is_rendered_without_a_cluster_can_be_applied_by_kubectl(kube: Kube) -> None:
    """As docs/operations.md says; nothing of it ends the operator, as the uninstall hook would."""
    text = template(release="by-hand")

    def kubectl(*arguments: str) -> list[str]:
        command = [str(kube.program), f"--kubeconfig={kube.kubeconfig}", *arguments]
        done = run([*command, "-f", "-"], input=text, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    applied = kubectl("apply", "--server-side")
    assert len(applied) == len(rendered(release="by-hand"))
    assert not [line for line in applied if line.startswith("job.batch/")]
    assert kubectl("apply", "--server-side") == applied
    assert len(kubectl("delete", "--wait=false")) == len(applied)


def test_defaults_of_an_older_chart_are_not_kept(kube: Kube, tmp_path: Path) -> None:
    """`--reuse-values` keeps them, and is told which values it lacks."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: older, version: 0.0.1}")
    (tmp_path / "values.yaml").write_text("replicas: 2")
    where = (f"--kubeconfig={kube.kubeconfig}", f"--namespace={NAMESPACE}")
    helm("install", "older", str(tmp_path), *where, "--set", "replicas=3")
    upgrade = ("upgrade", "older", str(CHART), *where, "--dry-run=server")
    with pytest.raises(CalledProcessError) as refused:
        helm(*upgrade, "--reuse-values")
    assert "missing properties" in refused.value.stderr
    assert "'claims'" in refused.value.stderr
    assert "replicas: 3" in helm(*upgrade, "--reset-then-reuse-values")
    helm("uninstall", "older", *where)


def served(kube: Kube) -> bool:
    """Whether the server answers for both of our kinds."""
    try:
        for kind in ("spottrainingjobs", "spotpolicies"):
            kube.list(kind)
    except KubectlError:
        return False
    return True
