"""A client of the fake server: one per process, with that process's latency and faults.

Every call waits its latency, meets the faults, acts on the server in one atomic step, and meets
the faults again on the way back. A call of a dead process is cancelled: what a crashed program
would have done in its `finally` blocks does not happen.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from typing import Any, Literal, TypeVar

from kit.fakeapi.faults import Call, Faults
from kit.fakeapi.server import FakeApiServer
from kit.fakeapi.storage import Feed
from spot_operator.control.client import PAGE_SIZE, Created, Json, Page, PatchKind, WatchEvent
from spot_operator.control.clock import Clock, within
from spot_operator.control.errors import Unavailable
from spot_operator.control.resource import Resource

__all__ = ["BOOKMARK_SECONDS", "FakeClient"]

T = TypeVar("T")

BOOKMARK_SECONDS = 60.0
"""How often the real server tells a quiet watch that it is up to date."""

FAREWELL_SECONDS = 2.0
"""How long before the end of a watch it sends the last one."""

ANSWER_SECONDS = 10.0
"""After this long a call that cannot reach the server gives up."""


class FakeClient:
    """Implements `spot_operator.control.client.Client` on a `FakeApiServer`.

    `name` appears in every `Call`; `faults` may be changed at any time; `dead` ends it.
    """

    def __init__(
        self, server: FakeApiServer, *, name: str = "client", clock: Clock | None = None
    ) -> None:
        self._server = server
        self._clock = clock or server.clock
        self._writes = 0
        self.name = name
        self.faults = Faults()
        self.dead = False
        self._date: datetime | None = None

    @property
    def date(self) -> datetime | None:
        return None if self.faults.undated else self._date

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> Json:
        call = self._call("get", resource, namespace, name)
        return await self._do(call, lambda: self._server.get(resource, name, namespace))

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = PAGE_SIZE,
        more: str = "",
    ) -> Page:
        call = self._call("list", resource, namespace)
        return await self._do(
            call,
            lambda: self._server.list(
                resource,
                namespace=namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                limit=limit,
                more=more,
            ),
        )

    async def create(
        self,
        resource: Resource,
        body: Json,
        *,
        namespace: str | None = None,
        field_validation: Literal["Ignore", "Warn", "Strict"] = "Warn",
        dry_run: bool = False,
    ) -> Created:
        meta = body.get("metadata", {})
        home = namespace or meta.get("namespace")
        call = self._call("create", resource, home, meta.get("name", ""), body=body)
        return await self._do(
            call,
            lambda: self._server.create(resource, body, namespace=namespace, dry_run=dry_run),
        )

    async def replace(self, resource: Resource, body: Json) -> Json:
        meta = body["metadata"]
        call = self._call("replace", resource, meta.get("namespace"), meta["name"], body=body)
        return await self._do(call, lambda: self._server.replace(resource, body))

    async def replace_status(
        self, resource: Resource, body: Json, *, dry_run: bool = False
    ) -> Json:
        meta = body["metadata"]
        verb = "dry-run" if dry_run else "replace"
        call = self._call(
            verb, resource, meta.get("namespace"), meta["name"], body=body, sub="status"
        )
        return await self._do(
            call, lambda: self._server.replace_status(resource, body, dry_run=dry_run)
        )

    async def patch(
        self,
        resource: Resource,
        name: str,
        body: Json | Sequence[Json],
        *,
        namespace: str | None = None,
        kind: PatchKind = PatchKind.MERGE,
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> Json:
        call = self._call("patch", resource, namespace, name, body=body, sub=subresource)
        return await self._do(
            call,
            lambda: self._server.patch(
                resource, name, body, namespace=namespace, kind=kind, subresource=subresource
            ),
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_seconds: int | None = None,
        propagation: Literal["Background", "Foreground", "Orphan"] | None = None,
    ) -> Json:
        call = self._call("delete", resource, namespace, name)
        return await self._do(
            call,
            lambda: self._server.delete(
                resource,
                name,
                namespace=namespace,
                uid=uid,
                resource_version=resource_version,
                grace_seconds=grace_seconds,
                propagation=propagation,
            ),
        )

    async def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 290,
    ) -> AsyncGenerator[WatchEvent, None]:
        server = self._server
        feed = await self._do(
            self._call("watch", resource, namespace),
            lambda: server.open_watch(
                resource,
                resource_version=resource_version,
                namespace=namespace,
                label_selector=label_selector,
                field_selector=field_selector,
            ),
        )
        try:
            async for event in self._events(feed, self._clock.monotonic() + timeout_seconds):
                yield event
        finally:
            server.storage.close(feed)

    async def _events(self, feed: Feed, end: float) -> AsyncGenerator[WatchEvent, None]:
        bookmark = self._next_bookmark(end)
        while (now := self._clock.monotonic()) < end:
            if now >= bookmark and not self.faults.blind:
                feed.bookmark(self._server.storage.number, self._server.clock.monotonic())
                bookmark = self._next_bookmark(end)
            for event in self._due(feed):
                yield event
            if feed.broken:
                raise feed.broken
            await self._next_turn(feed, min(end, bookmark))

    def _next_bookmark(self, end: float) -> float:
        """In a minute, or two seconds before the end if that is still to come."""
        now = self._clock.monotonic()
        regular, farewell = now + BOOKMARK_SECONDS, end - FAREWELL_SECONDS
        return min(regular, farewell) if farewell > now else regular

    def _due(self, feed: Feed) -> Sequence[WatchEvent]:
        """What has travelled long enough, and is neither held back nor lost."""
        due: deque[WatchEvent] = deque()
        horizon = self._server.clock.monotonic() - self.faults.lag
        while not self._unseeing() and feed.queue and feed.queue[0][0] <= horizon:
            _, event = feed.queue.popleft()
            if not self.faults.loses(feed.resource, event):
                due.append(event)
        return due

    def _unseeing(self) -> bool:
        return self.faults.blind or self.faults.cut

    async def _next_turn(self, feed: Feed, until: float) -> None:
        """Wait for something new, something that has arrived at last, or the next fixed point."""
        feed.wake.clear()
        wait = until - self._clock.monotonic()
        if self._unseeing():
            wait = 0.5
        elif feed.queue:
            wait = min(wait, feed.queue[0][0] + self.faults.lag - self._server.clock.monotonic())
        try:
            await within(self._clock, max(0.001, wait), feed.wake.wait())
        except TimeoutError:
            return

    def _call(
        self,
        verb: str,
        resource: Resource,
        namespace: str | None,
        name: str = "",
        *,
        body: Any = None,
        sub: str = "",
    ) -> Call:
        if verb not in {"get", "list", "watch"}:
            self._writes += 1
        return Call(self.name, verb, resource, namespace, name, sub, body, self._writes)

    async def _do(self, call: Call, act: Callable[[], T]) -> T:
        self._stop_if_dead()
        self._server.traffic[call.verb, str(call.resource), int(self._clock.monotonic() // 60)] += 1
        await asyncio.sleep(0)
        if self.faults.latency:
            await self._clock.sleep(self.faults.latency)
        await self.faults.before(call)
        self._stop_if_dead()
        if self.faults.cut:
            await self._clock.sleep(ANSWER_SECONDS)
            raise Unavailable(f"no answer within {ANSWER_SECONDS:.0f} s", status=0)
        self._date = self._server.clock.now().replace(microsecond=0)
        result = act()
        await self.faults.after(call)
        self._stop_if_dead()
        return result

    def _stop_if_dead(self) -> None:
        if self.dead:
            raise asyncio.CancelledError(f"{self.name} is dead")
