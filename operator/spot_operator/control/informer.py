"""A cache of one kind that follows the server: list, diff, watch, and again.

    LIST (paged, newest) -> diff with the store, deletions included -> WATCH from there
      watch ends            -> watch again from the last event or bookmark
      silence > 63 s        -> hang up, LIST again and diff  (bookmarks come after 59 to 61 s)
      410, or the third failure in a row -> LIST again and diff
      an event or bookmark after `relist_seconds` -> likewise, against whatever was overlooked
      any other error       -> the same step again after a growing, capped wait

What it promises: after a list, and after every event, the store holds exactly what the server held
at `position`; listeners hear of every object that appears, changes or goes, deletions in gaps
included. States in between may be skipped. Within a watch, an event at or before `position`
changes nothing: a server that repeats itself cannot bring back the past. A list is the truth even
when its number is lower: lists are read from a quorum, so that means a restored server. (Watching
a number from the future is silent on a real server, not an error: silence leads to the list.)

What it does not promise: to be up to date. `last_activity` says when the server was last heard (a
list, an event, a bookmark). While all is well `silence()` stays below `SILENCE_SECONDS`: events
and bookmarks keep it so, and where they do not come, lists. (Measured on kube-apiserver 1.37: a
watch gets no bookmark until its kind's cache has moved on from where the watch began, which on an
idle server took up to two minutes. So missing bookmarks do not prove a broken connection.)
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing

from spot_operator.control.backoff import Backoff
from spot_operator.control.client import Client, Json, Listing, WatchEvent, list_all
from spot_operator.control.clock import Clock, Entropy
from spot_operator.control.errors import ApiError, Forbidden, Gone, Unavailable
from spot_operator.control.resource import Resource
from spot_operator.control.store import Change, Index, Listener, Store

__all__ = ["SILENCE_SECONDS", "Informer"]

log = logging.getLogger(__name__)

SILENCE_SECONDS = 70.0
"""A healthy informer is never silent for longer: who needs fresh eyes may ask for this much."""

_HANG_UP_SECONDS = 63.0  # after a bookmark could have come, with time for a list before the above
_WATCH_SECONDS = 290
_SHORTEST_WATCH_SECONDS = 1.0
_FAILURES_BEFORE_RELIST = 3


class Informer:
    """See the module; `run` it in a task, read it from anywhere on the same loop.

    `trim` is applied to every object before it is kept (it may return a new dict with less in
    it, but with `metadata` name, namespace, uid and resourceVersion). `indexes` maps names to
    functions from an object to its keys.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        clock: Clock,
        entropy: Entropy,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        trim: Callable[[Json], Json] | None = None,
        indexes: Mapping[str, Index] | None = None,
        relist_seconds: float = 900.0,
    ) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        self.answered = asyncio.Event()
        """Set with the first list, and also when the server says that it may not be read."""
        self.error: ApiError | None = None
        self.failures = 0
        self._client = client
        self._clock = clock
        self._entropy = entropy
        self._backoff = Backoff(entropy)
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._trim = trim or (lambda item: item)
        self._relist_seconds = relist_seconds
        self._listeners: list[Listener] = []
        self._position = ""
        self._last_activity: float | None = None
        self._listed_at = 0.0
        self.store = Store(dict(indexes or {}))

    # --- what it knows ---

    def __len__(self) -> int:
        return len(self.store)

    def get(self, uid: str) -> Json | None:
        """The object of this uid, if it exists."""
        return self.store.get(uid)

    def named(self, name: str, namespace: str = "") -> Json | None:
        """The object that has this name now."""
        return self.store.named(name, namespace)

    def by_index(self, index: str, key: str) -> list[Json]:
        """Objects that `index` files under `key`."""
        return self.store.by_index(index, key)

    def items(self) -> list[Json]:
        """Every object."""
        return list(self.store)

    @property
    def last_activity(self) -> float | None:
        """When the server was last heard, on the monotonic clock; None before the first list."""
        return self._last_activity

    def silence(self) -> float:
        """Seconds since the server was last heard; infinite before the first list."""
        last = self._last_activity
        return float("inf") if last is None else self._clock.monotonic() - last

    @property
    def refused(self) -> bool:
        """Whether the server's last word was that this may not be read."""
        return isinstance(self.error, Forbidden)

    @property
    def position(self) -> str:
        """The resourceVersion up to which the store is complete; empty before the first list."""
        return self._position

    def subscribe(self, listener: Listener) -> None:
        """Have `listener` called on each change from now on."""
        self._listeners.append(listener)

    # --- how it follows ---

    async def run(self) -> None:
        """Follow the server until cancelled. Errors of the server are survived, others raised.

        `error` is the newest one, and None once a list or an event has come since; `failures`
        counts them in a row, until an event comes.
        """
        while True:
            try:
                await self._step()
            except ApiError as error:
                await self._recover(error)

    async def _step(self) -> None:
        if self._needs_list():
            await self._relist()
        await self._watch()

    def _needs_list(self) -> bool:
        age = self._clock.monotonic() - self._listed_at
        return not self._position or age >= self._relist_seconds

    async def _recover(self, error: ApiError) -> None:
        self.error = error
        self.failures += 1
        if self.refused:
            self.answered.set()
        if isinstance(error, Gone) or self.failures >= _FAILURES_BEFORE_RELIST:
            self._position = ""
        # An expired position is everyday life, and its remedy cheap: the first is not waited for.
        waived = isinstance(error, Gone) and self.failures == 1
        wait = 0.0 if waived else self._backoff.delay(self.failures)
        log.info("%s: %s; going on in %.1f s", self.resource, error, wait)
        await self._clock.sleep(wait)

    async def _relist(self) -> None:
        listing = await list_all(
            self._client,
            self.resource,
            namespace=self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            trim=self._trim,
        )
        self._replace_all(listing)
        self._listed_at = self._clock.monotonic()
        self._heard(listing.resource_version)
        self.synced.set()
        self.answered.set()

    def _replace_all(self, listing: Listing) -> None:
        """Make the store equal to the list; deletions first, so that names are free again."""
        listed = {item["metadata"]["uid"] for item in listing.items}
        for gone in [item for item in self.store if item["metadata"]["uid"] not in listed]:
            self._remove(gone["metadata"]["uid"], last=gone, live=False)
        for item in listing.items:
            known = self.store.get(item["metadata"]["uid"])
            if known is None or _version(known) != _version(item):
                self._put(item, live=False)

    async def _watch(self) -> None:
        """One watch, until it ends, breaks, falls silent, or a new list is due."""
        opened = self._clock.monotonic()
        watching = asyncio.ensure_future(self._follow())
        watchdog = asyncio.ensure_future(self._await_silence(opened))
        try:
            await asyncio.wait({watching, watchdog}, return_when=asyncio.FIRST_COMPLETED)
            if not watching.done():
                # Listing, not only watching again: whatever made this watch deaf may do so to the
                # next one (a proxy that buffers, a kind whose bookmarks do not come).
                self._position = ""
                return
            watching.result()
        finally:
            watching.cancel()
            watchdog.cancel()
            await asyncio.gather(watching, watchdog, return_exceptions=True)
        if self.silence() >= self._clock.monotonic() - opened < _SHORTEST_WATCH_SECONDS:
            # Something on the way hangs up at once; asking again without a wait would hammer it.
            raise Unavailable("the watch ended as soon as it was open", status=0)

    async def _await_silence(self, opened: float) -> None:
        """Return when neither the opening of the watch nor the server is recent."""
        while True:
            heard = max(opened, self._last_activity or opened)
            left = heard + _HANG_UP_SECONDS - self._clock.monotonic()
            if left <= 0:
                return
            await self._clock.sleep(left)

    async def _follow(self) -> None:
        # Jitter, so that the watches of one process, and of its replicas, do not renew in step.
        seconds = int(self._entropy.uniform(0.8, 1.0) * _WATCH_SECONDS)
        events = self._client.watch(
            self.resource,
            resource_version=self._position,
            namespace=self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            timeout_seconds=seconds,
        )
        async with aclosing(events):
            async for event in events:
                self._apply(event)
                if self._needs_list():
                    return

    def _apply(self, event: WatchEvent) -> None:
        version = _version(event.object)
        if version != self._position:
            if not _is_after(version, self._position):
                return
            self._take(event)
        self._heard(version)
        # Only here: lists that work would otherwise hide that every watch fails.
        self.failures = 0

    def _take(self, event: WatchEvent) -> None:
        if event.type == "DELETED":
            last = self._trim(event.object)
            self._remove(last["metadata"]["uid"], last=last, live=True)
        elif event.type != "BOOKMARK":
            self._put(self._trim(event.object), live=True)

    def _heard(self, version: str) -> None:
        self._position = version
        self._last_activity = self._clock.monotonic()
        self.error = None

    def _put(self, item: Json, *, live: bool) -> None:
        meta = item["metadata"]
        namesake = self.store.named(meta["name"], meta.get("namespace", ""))
        if namesake and namesake["metadata"]["uid"] != meta["uid"]:
            # Two objects cannot share a name: the news of the first one's end was lost.
            self._remove(namesake["metadata"]["uid"], last=namesake, live=False)
        self._tell(Change(self.store.put(item), item, live))

    def _remove(self, uid: str, *, last: Json, live: bool) -> None:
        if self.store.remove(uid) is not None:
            self._tell(Change(last, None, live))

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)


def _version(item: Json) -> str:
    version: str = item["metadata"]["resourceVersion"]
    return version


def _is_after(version: str, position: str) -> bool:
    """Versions of one kind are comparable decimal integers (KEP-5504); others count as new."""
    if not (version.isdigit() and position.isdigit()):
        return True
    return int(version) > int(position)
