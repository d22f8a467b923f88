"""Events for people: what `kubectl describe` and `kubectl events` show beside an object.

Best effort by design: nothing may wait for an event, and none is worth a failed reconcile.
`record` never blocks and never raises; `run` writes in the background, at most `per_second` on
average. Too many at once, or a server that refuses, means that some are dropped, and counted.

The same (object, type, reason, note) within `AGGREGATION_SECONDS` is one event whose series
counts up (events.k8s.io/v1, KEP-383) instead of a new object each time.

In a namespace that is being deleted no event can be created. Warnings are then told of the
namespace itself; one that is not written anywhere is in the log.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from dataclasses import dataclass, replace
from typing import Literal

from spot_operator.control.client import Client, Json
from spot_operator.control.clock import Clock, Entropy, timestamp
from spot_operator.control.errors import ControlError, NamespaceTerminating, NotFound
from spot_operator.control.resource import EVENTS

__all__ = ["AGGREGATION_SECONDS", "EventRecorder", "Note", "reference"]

log = logging.getLogger(__name__)

AGGREGATION_SECONDS = 600.0
_NOTE_BYTES = 1024
_QUEUE_LIMIT = 1000
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to tell. `about` is an object reference (see `reference`).

    `reason` is why, one CamelCase word; `action` what was done or tried, likewise; `text` the
    sentence for people, cut at 1 KiB.
    """

    about: tuple[tuple[str, str], ...]
    type: Literal["Normal", "Warning"]
    reason: str
    text: str
    action: str


def reference(item: Json) -> tuple[tuple[str, str], ...]:
    """What an event needs to know of an object with `apiVersion` and `kind`; hashable."""
    meta = item["metadata"]
    fields = {
        "apiVersion": item.get("apiVersion", ""),
        "kind": item.get("kind", ""),
        "namespace": meta.get("namespace", ""),
        "name": meta["name"],
        "uid": meta.get("uid", ""),
    }
    return tuple((name, value) for name, value in fields.items() if value)


@dataclass(slots=True)
class _Series:
    """An event already written, and how often it has happened."""

    namespace: str
    name: str
    count: int
    last: float


class EventRecorder:
    """See the module. `controller` and `instance` say who speaks.

    `dropped` counts what was never written.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        entropy: Entropy,
        *,
        controller: str,
        instance: str,
        per_second: float = 5.0,
        burst: int = 25,
    ) -> None:
        self.dropped = 0
        self._client = client
        self._clock = clock
        self._entropy = entropy
        self._controller = controller
        self._instance = instance
        self._rate = per_second
        self._burst = float(burst)
        self._tokens = float(burst)
        self._refilled = clock.monotonic()
        self._queue: deque[Note] = deque()
        self._arrived = asyncio.Event()
        self._series: OrderedDict[Note, _Series] = OrderedDict()

    def record(self, note: Note) -> None:
        """Have `note` written some time soon, if all goes well."""
        if len(self._queue) >= _QUEUE_LIMIT:
            self.dropped += 1
            return
        self._queue.append(note)
        self._arrived.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            if not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
            await self._spend_token()
            await self._write(self._queue.popleft())

    async def flush(self) -> None:
        """Write what is queued, as fast as the server takes it: the last words of a process."""
        while self._queue:
            await self._write(self._queue.popleft())

    async def _spend_token(self) -> None:
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._refilled) * self._rate)
        self._refilled = now
        self._tokens -= 1
        if self._tokens < 0:
            await self._clock.sleep(-self._tokens / self._rate)

    async def _write(self, note: Note) -> None:
        try:
            series = self._current_series(note)
            if series is None or not await self._count_up(series):
                await self._create(note)
        except ControlError as error:
            self.dropped += 1
            if note.type == "Warning":
                log.warning("event %s not written (%s): %s", note.reason, error, _told(note))
            else:
                log.info("event %s not written: %s", note.reason, error)

    def _current_series(self, note: Note) -> _Series | None:
        series = self._series.get(note)
        if series and self._clock.monotonic() - series.last < AGGREGATION_SECONDS:
            return series
        return None

    async def _count_up(self, series: _Series) -> bool:
        """Whether the event was still there to be counted up."""
        body = {"series": {"count": series.count + 1, "lastObservedTime": self._now()}}
        try:
            await self._client.patch(EVENTS, series.name, body, namespace=series.namespace)
        except NotFound:
            return False  # the server forgets events after an hour
        series.count += 1
        series.last = self._clock.monotonic()
        return True

    async def _create(self, note: Note) -> None:
        try:
            await self._tell(note, note)
        except NamespaceTerminating:
            if note.type != "Warning":
                raise
            await self._tell(note, _of_the_namespace(note))

    async def _tell(self, note: Note, shown: Note) -> None:
        about = dict(shown.about)
        namespace = about.get("namespace") or "default"
        name = f"{about['name'][:236]}.{self._entropy.token()}"
        await self._client.create(EVENTS, self._rendered(shown, namespace, name))
        self._series[note] = _Series(namespace, name, 1, self._clock.monotonic())
        self._series.move_to_end(note)
        while len(self._series) > _REMEMBERED:
            self._series.popitem(last=False)

    def _rendered(self, note: Note, namespace: str, name: str) -> Json:
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": name, "namespace": namespace},
            "eventTime": self._now(),
            "type": note.type,
            "reason": note.reason[:128],
            "note": _cut(note.text, _NOTE_BYTES),
            "action": note.action[:128],
            "regarding": dict(note.about),
            "reportingController": self._controller,
            "reportingInstance": self._instance[:128],
        }

    def _now(self) -> str:
        return timestamp(self._clock.now(), micro=True)


def _of_the_namespace(note: Note) -> Note:
    """The same, told of the namespace, which is going: nothing can be created in it any more.

    Events of what belongs to no namespace are in `default`.
    """
    name = dict(note.about)["namespace"]
    about = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    return replace(note, about=reference(about), text=_told(note))


def _told(note: Note) -> str:
    """The sentence, with what it is about."""
    about = dict(note.about)
    where = f"{about['namespace']}/" if "namespace" in about else ""
    return f"{about.get('kind', '')} {where}{about['name']}: {note.text}"


def _cut(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8, no character torn, an ellipsis where something is missing."""
    raw = text.encode()
    if len(raw) <= limit:
        return text
    return raw[: limit - 3].decode(errors="ignore") + "…"
