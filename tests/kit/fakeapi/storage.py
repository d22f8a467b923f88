"""What etcd and the watch cache are to the real server: objects, versions, history, feeds.

Every change gets the next number of one counter, which is the object's resourceVersion and the
position in the history. The history is bounded: a watch from before its start is Gone.
"""

import asyncio
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from kit.fakeapi.selectors import Matches
from spot_operator.control.client import Json, WatchEvent
from spot_operator.control.errors import ApiError, Gone
from spot_operator.control.resource import Resource

__all__ = ["Change", "Feed", "Key", "Storage", "copied"]

Key = tuple[str, str]
"""Namespace (empty for cluster-wide kinds) and name."""


def copied(item: Json) -> Json:
    """A copy that shares nothing, and a proof that it is JSON."""
    clone: Json = json.loads(json.dumps(item))
    return clone


@dataclass(frozen=True, slots=True)
class Change:
    """One step of the history; `before` is None for a new object, `after` for one that went."""

    number: int
    resource: Resource
    before: Json | None
    after: Json | None
    at: float


@dataclass(eq=False, slots=True)
class Feed:
    """One open watch: what it still has to deliver, oldest first, each with its time."""

    resource: Resource
    namespace: str | None
    matches: Matches
    since: int
    queue: deque[tuple[float, WatchEvent]] = field(default_factory=deque)
    broken: ApiError | None = None
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def push(self, change: Change) -> None:
        """Queue what `change` means to this watcher, if anything."""
        if change.resource != self.resource or change.number <= self.since:
            return
        if event := self._seen(change):
            self.queue.append((change.at, event))
            self.wake.set()

    def _seen(self, change: Change) -> WatchEvent | None:
        was, now = self._visible(change.before), self._visible(change.after)
        if now and change.after:
            return WatchEvent("MODIFIED" if was else "ADDED", copied(change.after))
        if was and change.before:
            # The last state that was visible, with the number of the change that hid it.
            gone = copied(change.before)
            gone["metadata"]["resourceVersion"] = str(change.number)
            return WatchEvent("DELETED", gone)
        return None

    def _visible(self, item: Json | None) -> bool:
        if item is None or (self.namespace and item["metadata"]["namespace"] != self.namespace):
            return False
        return self.matches(item)

    def bookmark(self, number: int, at: float) -> None:
        """Tell the watcher that it has seen everything up to `number`, if that is any news."""
        if number <= self.since:
            return
        body = {
            "apiVersion": self.resource.api_version,
            "kind": self.resource.kind,
            "metadata": {"resourceVersion": str(number)},
        }
        self.queue.append((at, WatchEvent("BOOKMARK", body)))
        self.wake.set()

    def sever(self, error: ApiError) -> None:
        """End the stream with `error`, now."""
        self.broken = error
        self.wake.set()


class Storage:
    """Objects by kind and key, and what happened to them, newest last."""

    def __init__(self, history: int) -> None:
        self._objects: dict[Resource, dict[Key, Json]] = {}
        self._history: deque[Change] = deque(maxlen=history)
        self._forgotten = 0
        self._feeds: list[Feed] = []
        self.number = 1

    def of(self, resource: Resource) -> dict[Key, Json]:
        """The objects of a kind: read, never change."""
        return self._objects.setdefault(resource, {})

    def kinds(self) -> Iterator[Resource]:
        """Every kind that ever had an object."""
        yield from list(self._objects)

    def put(self, resource: Resource, key: Key, item: Json, at: float) -> Json:
        """Store `item` under the next number and tell the watchers."""
        before = self.of(resource).get(key)
        self.number += 1
        item["metadata"]["resourceVersion"] = str(self.number)
        self.of(resource)[key] = item
        self._publish(Change(self.number, resource, before, item, at))
        return item

    def remove(self, resource: Resource, key: Key, at: float) -> Json:
        """Forget an object and tell the watchers."""
        before = self.of(resource).pop(key)
        self.number += 1
        self._publish(Change(self.number, resource, before, None, at))
        return before

    def _publish(self, change: Change) -> None:
        if len(self._history) == self._history.maxlen:
            self._forgotten = self._history[0].number
        self._history.append(change)
        for feed in list(self._feeds):
            feed.push(change)

    def open(self, resource: Resource, namespace: str | None, matches: Matches, since: int) -> Feed:
        """A watch of every change after number `since`.

        Raises:
            Gone: some of them are forgotten. A number still to come is no error: the watch is
                silent, bookmarks included, until the counter gets there.
        """
        if since < self._forgotten:
            raise Gone(f"too old resource version: {since} ({self._forgotten})")
        feed = Feed(resource, namespace, matches, since)
        for change in self._history:
            feed.push(change)
        self._feeds.append(feed)
        return feed

    def close(self, feed: Feed) -> None:
        """The watcher has left."""
        self._feeds.remove(feed)

    def forget(self) -> None:
        """Drop the whole history: only a watch from now on works, open ones go on."""
        self._history.clear()
        self._forgotten = self.number

    def sever(self, error: ApiError, resource: Resource | None = None) -> None:
        """End every open watch, or those of one kind, with `error`."""
        for feed in self._feeds:
            if resource in {None, feed.resource}:
                feed.sever(error)
