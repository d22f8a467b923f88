"""One kind in several namespaces, each followed by itself and all read as one cache.

What a process may see of a namespace ends with the namespace, or with a Role that somebody
removed. Such a namespace stops nothing in the others: `silence()` leaves it out, `silence(name)`
does not, so nothing is decided about what lies in it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from spot_operator.control.client import Client, Json
from spot_operator.control.clock import Clock, Entropy
from spot_operator.control.informer import Informer
from spot_operator.control.resource import Resource
from spot_operator.control.store import Index, Listener

__all__ = ["Cache", "Informers"]


class Cache(Protocol):
    """What is read of an `Informer`, and of several alike; see there."""

    @property
    def resource(self) -> Resource: ...
    def __len__(self) -> int: ...
    def get(self, uid: str) -> Json | None: ...
    def named(self, name: str, namespace: str = "") -> Json | None: ...
    def by_index(self, index: str, key: str) -> list[Json]: ...
    def items(self) -> list[Json]: ...
    def subscribe(self, listener: Listener) -> None: ...


class Informers:
    """See the module. Without `namespaces` it is one informer on all of them."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        clock: Clock,
        entropy: Entropy,
        *,
        namespaces: Sequence[str] = (),
        label_selector: str = "",
        trim: Callable[[Json], Json] | None = None,
        indexes: Mapping[str, Index] | None = None,
    ) -> None:
        self._resource = resource
        self._by_namespace = {
            namespace: Informer(
                client,
                resource,
                clock,
                entropy,
                namespace=namespace or None,
                label_selector=label_selector,
                trim=trim,
                indexes=indexes,
            )
            for namespace in namespaces or ("",)
        }

    @property
    def resource(self) -> Resource:
        """The kind."""
        return self._resource

    def __len__(self) -> int:
        return sum(len(one) for one in self._all)

    def get(self, uid: str) -> Json | None:
        """The object of this uid, if it exists."""
        found = (one.get(uid) for one in self._all)
        return next((item for item in found if item is not None), None)

    def named(self, name: str, namespace: str = "") -> Json | None:
        """The object that has this name now."""
        one = self._of(namespace)
        return None if one is None else one.named(name, namespace)

    def by_index(self, index: str, key: str) -> list[Json]:
        """Objects that `index` files under `key`."""
        return [item for one in self._all for item in one.by_index(index, key)]

    def items(self) -> list[Json]:
        """Every object."""
        return [item for one in self._all for item in one.items()]

    def subscribe(self, listener: Listener) -> None:
        """Have `listener` called on each change from now on."""
        for one in self._all:
            one.subscribe(listener)

    def silence(self, namespace: str | None = None) -> float:
        """Seconds since the server was last heard of `namespace`, or of the most silent one.

        A namespace that may not be read counts only when it is asked for, or when none may be.
        """
        if namespace is not None:
            one = self._of(namespace)
            return float("inf") if one is None else one.silence()
        readable = [one.silence() for one in self._all if not one.refused]
        return max(readable or [one.silence() for one in self._all])

    @property
    def refused(self) -> tuple[str, ...]:
        """The namespaces that may not be read."""
        return tuple(name for name, one in self._by_namespace.items() if one.refused and name)

    async def wait_synced(self) -> None:
        """Return when every first list is in, or was refused where there are others."""
        if len(self._all) == 1:
            await self._all[0].synced.wait()
        for one in self._all:
            await one.answered.wait()

    async def run(self) -> None:
        """Follow the server until cancelled."""
        async with asyncio.TaskGroup() as group:
            for namespace, one in self._by_namespace.items():
                group.create_task(one.run(), name=f"informer of {self._resource} {namespace}")

    @property
    def _all(self) -> list[Informer]:
        return list(self._by_namespace.values())

    def _of(self, namespace: str) -> Informer | None:
        return self._by_namespace.get("", self._by_namespace.get(namespace))
