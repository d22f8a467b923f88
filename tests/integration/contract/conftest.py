"""One set of expectations, two servers: the fake of the simulations and a real kube-apiserver.

Each test gets `api`: a client, a namespace of its own, and the kind `Widget` (a custom resource
with a status subresource). What only one of them can show is not tested here.
"""

from collections.abc import AsyncIterator
from typing import cast

import pytest
from integration.contract.world import SERVICEACCOUNTS, WIDGETS, Api, define_widgets, prepared
from kit.fakeapi import FakeApiServer, FakeClient, custom
from spot_operator.control.clock import SystemClock, SystemEntropy
from spot_operator.control.credentials import load
from spot_operator.control.http_client import HttpClient


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.apiserver)])
async def api(request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    if request.param == "fake":
        server = FakeApiServer(SystemClock(), SystemEntropy())
        server.register(custom(WIDGETS))
        server.register(custom(SERVICEACCOUNTS))
        yield await prepared(FakeClient(server))
        return
    request.getfixturevalue("vigil")  # to be judged later
    kubeconfig = cast("str", request.getfixturevalue("api_server_kubeconfig"))
    connection = await load(SystemClock(), kubeconfig=kubeconfig)
    async with HttpClient(connection, user_agent="contract-tests") as client:
        await define_widgets(client)
        yield await prepared(client)
