"""A real API server with the CRDs as a user applies them, and a namespace to create jobs in."""

import os
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
from integration.crds.world import Api
from kit.manifests.good import NAMESPACE
from spot_operator.control.clock import SystemClock
from spot_operator.control.credentials import load
from spot_operator.control.errors import AlreadyExists
from spot_operator.control.http_client import HttpClient
from spot_operator.control.resource import NAMESPACES
from toolchain.layout import cache_from

CRDS: Final = Path(__file__).resolve().parents[3] / "crds"

Kubectl = Callable[..., str]


@pytest.fixture(scope="session")
def kubectl(api_server_kubeconfig: str) -> Kubectl:
    """Runs kubectl against the server and returns what it prints; fails when it fails."""
    program = cache_from(os.environ).bin / "kubectl"

    def run(*arguments: str) -> str:
        command = [str(program), f"--kubeconfig={api_server_kubeconfig}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    return run


@pytest.fixture(scope="session")
def served_crds(api_server_kubeconfig: str, kubectl: Kubectl) -> str:
    """The kubeconfig of a server that serves our kinds, brought there by plain `kubectl apply`."""
    kubectl("apply", "--warnings-as-errors", "-f", str(CRDS))
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRDS))
    return api_server_kubeconfig


@pytest.fixture
async def api(served_crds: str) -> AsyncIterator[Api]:
    """A client of that server."""
    connection = await load(SystemClock(), kubeconfig=served_crds)
    async with HttpClient(connection, user_agent="crd-tests") as client:
        namespace: dict[str, Any] = {"metadata": {"name": NAMESPACE}}
        with suppress(AlreadyExists):
            await client.create(NAMESPACES, namespace)
        yield Api(client)
