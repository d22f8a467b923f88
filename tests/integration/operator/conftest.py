"""A real API server as the chart leaves it: CRDs, the operator's namespace, the empty Secret."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from integration.operator.process import NAMESPACE, OperatorProcess
from stage.kube import Kube
from toolchain.layout import cache_from

CRDS: Final = Path(__file__).resolve().parents[3] / "crds"

MakeOperator = Callable[[str], OperatorProcess]


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


@pytest.fixture(scope="module")
def kube(api_server_kubeconfig: str) -> Kube:
    """kubectl in the namespace of a team, on a server that knows our kinds."""
    kube = Kube(cache_from(os.environ).bin / "kubectl", Path(api_server_kubeconfig), "research")
    kube.run("apply", "--server-side", "--force-conflicts", "--filename", str(CRDS))
    kube.run("wait", "--for=condition=Established", "--timeout=30s", "--filename", str(CRDS))
    kube.apply(namespace("research"), namespace(NAMESPACE))
    meta = {"name": "spot-training-reports-ca", "namespace": NAMESPACE}
    account = {"name": "default", "namespace": "research"}
    kube.run("delete", "lease", "spot-training-operator", f"-n{NAMESPACE}", "--ignore-not-found")
    objects = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque"},
        # No controllers run beside the server, so nobody else makes it.
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
        {
            "apiVersion": "spottraining.dev/v1alpha1",
            "kind": "SpotPolicy",
            "metadata": {"name": "default"},
            "spec": {"default": True, "allowedNamespaces": ["*"]},
        },
    ]
    # Jobs that other tests left on this server would be this operator's, too.
    in_any_namespace(kube, "delete", "spottrainingjobs", "--all", "--all-namespaces")
    in_any_namespace(kube, "apply", "-f", "-", stdin=yaml.safe_dump_all(objects))
    return kube


def in_any_namespace(kube: Kube, *arguments: str, stdin: str = "") -> None:
    """kubectl without a namespace of its own: it refuses to reach past one that is named."""
    command = [str(kube.program), f"--kubeconfig={kube.kubeconfig}", *arguments]
    subprocess.run(command, input=stdin, text=True, check=True, capture_output=True, timeout=120)


@pytest.fixture
def an_operator(kube: Kube, tmp_path: Path) -> Iterator[MakeOperator]:
    """Starts replicas by name; what is left of them at the end is killed."""
    made: list[OperatorProcess] = []

    def make(name: str) -> OperatorProcess:
        operator = OperatorProcess(str(kube.kubeconfig), name, tmp_path / f"{name}.log")
        operator.start()
        made.append(operator)
        return operator

    yield make
    for operator in made:
        operator.stop()
        print(f"--- {operator.name}\n{operator.log.read_text()[-4000:]}")
