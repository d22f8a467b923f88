"""The one API server of a test run, shared by every test that asks for it."""

import os
from collections.abc import Iterator

import pytest
from cluster import Cluster
from integration.vigil import Vigil


@pytest.fixture(scope="session")
def api_server_kubeconfig() -> Iterator[str]:
    """The kubeconfig of an administrator of a real API server; no controllers, no nodes."""
    with Cluster.api_only(f"t{os.getpid():x}", controllers=False) as server:
        yield str(server.kubeconfig)


@pytest.fixture(scope="session")
def vigil(api_server_kubeconfig: str) -> Iterator[Vigil]:
    """Informers in silence, since the first test that needed the server's contract."""
    watching = Vigil(api_server_kubeconfig)
    yield watching
    watching.end()
