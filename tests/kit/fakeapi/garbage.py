"""The controllers that remove what nobody owns any more: garbage collection and namespaces.

On a real cluster they run beside the API server, so they do here: `GarbageCollector(server)` acts
on each `collect()`, or by itself while `run()` runs, `delay` seconds after a change.
"""

from collections.abc import Iterator

from kit.fakeapi.server import FakeApiServer
from kit.fakeapi.storage import copied
from spot_operator.control.client import Json
from spot_operator.control.clock import Clock
from spot_operator.control.resource import NAMESPACES, Resource

__all__ = ["GarbageCollector"]


class GarbageCollector:
    """Deletes dependents of absent owners, and the contents of terminating namespaces."""

    def __init__(self, server: FakeApiServer, clock: Clock, *, delay: float = 0.5) -> None:
        self._server = server
        self._clock = clock
        self._delay = delay

    async def run(self) -> None:
        """Collect for ever."""
        seen = -1
        while True:
            if seen != self._server.storage.number:
                # Noted first: what this round removes is a reason for another.
                seen = self._server.storage.number
                self.collect()
            await self._clock.sleep(self._delay)

    def collect(self) -> None:
        """One round: what it deletes may leave more for the next."""
        keeping = self._keeping()
        for resource, seen in list(self._all()):
            # Read again: a step before this one may have changed or removed it.
            meta = seen["metadata"]
            item = self._server.storage.of(resource).get((meta.get("namespace", ""), meta["name"]))
            if item is None:
                continue
            if "deletionTimestamp" in item["metadata"]:
                self._finish(resource, item)
            elif self._is_orphaned(item, keeping) or self._lives_in_a_terminating_namespace(item):
                self._delete(resource, item)

    def _all(self) -> Iterator[tuple[Resource, Json]]:
        for resource in self._server.storage.kinds():
            for item in self._server.storage.of(resource).values():
                yield resource, item

    def _is_orphaned(self, item: Json, keeping: set[str]) -> bool:
        owners = {owner["uid"] for owner in item["metadata"].get("ownerReferences") or ()}
        return bool(owners) and not owners & keeping

    def _keeping(self) -> set[str]:
        """Uids of what is there and does not itself wait for its dependents to go."""
        return {
            item["metadata"]["uid"]
            for _, item in self._all()
            if "deletionTimestamp" not in item["metadata"]
            or "foregroundDeletion" not in (item["metadata"].get("finalizers") or ())
        }

    def _lives_in_a_terminating_namespace(self, item: Json) -> bool:
        home = self._server.storage.of(NAMESPACES).get(("", item["metadata"].get("namespace", "")))
        return home is not None and "deletionTimestamp" in home["metadata"]

    def _finish(self, resource: Resource, item: Json) -> None:
        """Take away the finalizers that are this controller's own, when their work is done."""
        finalizers = item["metadata"].get("finalizers") or ()
        if "orphan" in finalizers:
            self._let_go_of_dependents(item)
            self._release(resource, item, "orphan")
        elif "foregroundDeletion" in finalizers and not self._blocked(item):
            self._release(resource, item, "foregroundDeletion")
        elif resource == NAMESPACES and not self._has_content(item["metadata"]["name"]):
            self._server.finalize_namespace(item["metadata"]["name"])

    def _dependents(self, owner: Json) -> Iterator[tuple[Resource, Json, Json]]:
        for resource, item in list(self._all()):
            for reference in item["metadata"].get("ownerReferences") or ():
                if reference["uid"] == owner["metadata"]["uid"]:
                    yield resource, item, reference

    def _blocked(self, owner: Json) -> bool:
        return any(r.get("blockOwnerDeletion") for _, _, r in self._dependents(owner))

    def _has_content(self, namespace: str) -> bool:
        return any(item["metadata"].get("namespace") == namespace for _, item in self._all())

    def _let_go_of_dependents(self, owner: Json) -> None:
        for resource, item, reference in list(self._dependents(owner)):
            free = copied(item)
            free["metadata"]["ownerReferences"].remove(reference)
            self._server.replace(resource, free)

    def _release(self, resource: Resource, item: Json, finalizer: str) -> None:
        free = copied(item)
        free["metadata"]["finalizers"].remove(finalizer)
        self._server.replace(resource, free)

    def _delete(self, resource: Resource, item: Json) -> None:
        meta = item["metadata"]
        self._server.delete(resource, meta["name"], namespace=meta.get("namespace"))
