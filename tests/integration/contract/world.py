"""What the contract tests build and read."""

import asyncio
import secrets
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from spot_operator.control.client import Client, Json, WatchEvent
from spot_operator.control.errors import AlreadyExists, NotFound
from spot_operator.control.resource import NAMESPACES, PODS, Resource

WIDGETS = Resource("contract.example", "v1", "widgets", "Widget")
SERVICEACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
DEFINITIONS = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
)

_DEFINITION: Json = {
    "apiVersion": DEFINITIONS.api_version,
    "kind": DEFINITIONS.kind,
    "metadata": {"name": f"{WIDGETS.plural}.{WIDGETS.group}"},
    "spec": {
        "group": WIDGETS.group,
        "scope": "Namespaced",
        "names": {"plural": WIDGETS.plural, "kind": WIDGETS.kind},
        "versions": [
            {
                "name": WIDGETS.version,
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            part: {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                            for part in ("spec", "status")
                        },
                    }
                },
            }
        ],
    },
}


@dataclass(frozen=True)
class Api:
    """A client, and where to play."""

    client: Client
    namespace: str

    async def widget(self, name: str = "one", **parts: Any) -> Json:
        """Create a widget; all but `spec` and `status` goes to its metadata."""
        body = widget(name, self.namespace, **parts)
        return (await self.client.create(WIDGETS, body)).object

    async def pod(self, name: str = "one", *, node: str = "", grace: int | None = None) -> Json:
        """Create a pod, placed on `node` if named."""
        body = pod(name, self.namespace, node=node, grace=grace)
        return (await self.client.create(PODS, body)).object

    async def read(self, resource: Resource, name: str = "one") -> Json:
        """The object as it is now."""
        return await self.client.get(resource, name, namespace=self.namespace)

    async def expect_absent(self, resource: Resource, name: str = "one") -> None:
        """Fail unless there is no such object."""
        try:
            found = await self.read(resource, name)
        except NotFound:
            return
        raise AssertionError(f"still there: {found['metadata']}")

    async def position(self, resource: Resource = WIDGETS) -> str:
        """The resourceVersion of a list, now."""
        return (await self.client.list(resource, namespace=self.namespace)).resource_version

    async def events(
        self, resource: Resource, since: str, count: int, *, label_selector: str = ""
    ) -> list[WatchEvent]:
        """The first `count` changes after `since`, bookmarks left out."""
        found: list[WatchEvent] = []
        async with asyncio.timeout(20):
            watch = self.client.watch(
                resource,
                resource_version=since,
                namespace=self.namespace,
                label_selector=label_selector,
            )
            async with aclosing(watch) as events:
                async for event in events:
                    found += [event] if event.type != "BOOKMARK" else []
                    if len(found) == count:
                        return found
        raise AssertionError(f"the watch ended after {len(found)} of {count} events")


def widget(name: str, namespace: str, **parts: Any) -> Json:
    body: Json = {
        "apiVersion": WIDGETS.api_version,
        "kind": WIDGETS.kind,
        "metadata": {"name": name, "namespace": namespace},
    }
    for part, value in parts.items():
        home = body if part in {"spec", "status"} else body["metadata"]
        home[part] = value
    return body


def pod(name: str, namespace: str, *, node: str = "", grace: int | None = None) -> Json:
    spec: Json = {"containers": [{"name": "main", "image": "example/none"}]}
    if node:
        spec["nodeName"] = node
    if grace is not None:
        spec["terminationGracePeriodSeconds"] = grace
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


async def define_widgets(client: Client) -> None:
    """Create the definition if need be, and wait until it is served."""
    with suppress(AlreadyExists):
        await client.create(DEFINITIONS, _DEFINITION)
    async with asyncio.timeout(30):
        while True:
            try:
                await client.list(WIDGETS, limit=1)
            except NotFound:
                await asyncio.sleep(0.1)
            else:
                return


async def prepared(client: Client) -> Api:
    """A namespace of one test's own."""
    namespace = f"contract-{secrets.token_hex(4)}"
    await client.create(NAMESPACES, {"metadata": {"name": namespace}})
    # No controllers run beside the server, so nobody else makes what pods are admitted with.
    account = {"metadata": {"name": "default", "namespace": namespace}}
    with suppress(AlreadyExists):
        await client.create(SERVICEACCOUNTS, account)
    return Api(client, namespace)
