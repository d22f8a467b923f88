"""One set of expectations, two servers: the fake of the simulations and a real kube-apiserver.

Each test gets `api`: a client, a namespace of its own, and the kind `Widget` (a custom resource
with a status subresource). What only one of them can show is not tested here.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import cast

import pytest
from integration.contract.world import SERVICEACCOUNTS, WIDGETS, Api, define_widgets
from kit.fakeapi import FakeApiServer, FakeClient, custom
from spot_operator.control.client import Client
from spot_operator.control.clock import SystemClock, SystemEntropy
from spot_operator.control.credentials import load
from spot_operator.control.errors import AlreadyExists
from spot_operator.control.http_client import HttpClient
from spot_operator.control.resource import NAMESPACES


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.apiserver)])
async def api(request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    if request.param == "fake":
        server = FakeApiServer(SystemClock(), SystemEntropy())
        server.register(custom(WIDGETS))
        server.register(custom(SERVICEACCOUNTS))
        yield await _prepared(FakeClient(server))
        return
    kubeconfig = cast("str", request.getfixturevalue("api_server_kubeconfig"))
    connection = await load(SystemClock(), kubeconfig=kubeconfig)
    async with HttpClient(connection, user_agent="contract-tests") as client:
        await define_widgets(client)
        yield await _prepared(client)


async def _prepared(client: Client) -> Api:
    namespace = f"contract-{secrets.token_hex(4)}"
    await client.create(NAMESPACES, {"metadata": {"name": namespace}})
    # No controllers run beside the server, so nobody else makes what pods are admitted with.
    account = {"metadata": {"name": "default", "namespace": namespace}}
    with suppress(AlreadyExists):
        await client.create(SERVICEACCOUNTS, account)
    return Api(client, namespace)
