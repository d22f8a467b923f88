"""Which key to look at next. A key is never with two workers at once, and never lost.

Sets, as in client-go: *queued* (wants a look), *processing* (a worker has it), *dirty* (wants
another look while a worker has it), *delayed* (wants a look at a time). However often a key is
added, it is one entry: a burst of events is one pass.

Two priorities: LIVE for what just happened, RESYNC for what a list or a restart brought up. LIVE
goes first, but each `_FAIRNESS`-th pick is the oldest RESYNC key, so that none waits for ever.
"""

import asyncio
import heapq
from collections import OrderedDict, deque
from enum import IntEnum
from typing import Generic, TypeVar

from spot_operator.control.backoff import Backoff
from spot_operator.control.clock import Clock, Entropy, within

__all__ = ["Priority", "WorkQueue"]

K = TypeVar("K")

_FAIRNESS = 16


class Priority(IntEnum):
    """Lower goes first."""

    LIVE = 0
    RESYNC = 1


class WorkQueue(Generic[K]):
    """Keys are anything hashable. Workers do:

        key = await queue.get()
        try:
            wake_after = await reconcile(key)
        except ApiError:
            queue.retry(key)
        else:
            queue.forget(key)
            if wake_after is not None:
                queue.add_after(key, wake_after)
        finally:
            queue.done(key)

    `initial` and `cap` bound the wait of `retry`, in seconds.
    """

    def __init__(
        self, clock: Clock, entropy: Entropy, *, initial: float = 0.2, cap: float = 60.0
    ) -> None:
        self._clock = clock
        self._backoff = Backoff(entropy, initial=initial, cap=cap)
        self._queued: dict[Priority, OrderedDict[K, float]] = {p: OrderedDict() for p in Priority}
        self._processing: dict[K, float] = {}
        self._dirty: dict[K, tuple[Priority, float]] = {}
        self._delayed: dict[K, float] = {}
        self._due: list[tuple[float, int, K]] = []
        self._failures: dict[K, int] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._picks = 0
        self._sequence = 0

    def __len__(self) -> int:
        """Keys that want a look now, those in work that want another included."""
        self._promote()
        return sum(map(len, self._queued.values())) + len(self._dirty)

    def add(self, key: K, priority: Priority = Priority.LIVE) -> None:
        """Have `key` looked at as soon as a worker is free and no other has it."""
        self._want(key, priority, self._clock.monotonic())

    def add_after(self, key: K, seconds: float) -> None:
        """Have `key` looked at in `seconds`; of several such wishes the earliest stands."""
        due = self._clock.monotonic() + max(0.0, seconds)
        if due >= self._delayed.get(key, float("inf")):
            return
        self._delayed[key] = due
        self._sequence += 1
        heapq.heappush(self._due, (due, self._sequence, key))
        self._wake()

    def retry(self, key: K) -> float:
        """Have `key` looked at again after a wait that grows with each `retry` in a row.

        Returns the wait in seconds.
        """
        self._failures[key] = self._failures.get(key, 0) + 1
        wait = self._backoff.delay(self._failures[key])
        self.add_after(key, wait)
        return wait

    def forget(self, key: K) -> None:
        """The pass over `key` went well: its next `retry` starts from the beginning."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        """How often `retry` was called since the last `forget`."""
        return self._failures.get(key, 0)

    async def get(self) -> K:
        """Wait for a key and take it; `done` must follow. Cancelling it loses nothing."""
        while True:
            self._promote()
            if (key := self._pick()) is not None:
                return key[0]
            await self._sleep()

    def done(self, key: K) -> None:
        """The worker has let go of `key`; if it became dirty meanwhile it is queued again.

        Raises:
            KeyError: nobody had it.
        """
        del self._processing[key]
        if key in self._dirty:
            priority, since = self._dirty.pop(key)
            self._enqueue(key, priority, since)

    def oldest_age(self) -> float:
        """Seconds for which the oldest key has been waiting for a worker, or for its end.

        A delayed key waits from its time on. Zero if nothing waits.
        """
        self._promote()
        since = [at for queued in self._queued.values() for at in queued.values()]
        since += [*self._processing.values(), *(at for _, at in self._dirty.values())]
        return self._clock.monotonic() - min(since) if since else 0.0

    def stuck_for(self) -> float:
        """Seconds for which some worker has had its key, or, where none has one, for which the
        oldest key has waited. Feeds the liveness probe.

        A long queue of keys does not mean that the workers hang: a server that answers each of them
        slowly makes one, and will for the next process.
        """
        if not self._processing:
            return self.oldest_age()
        return self._clock.monotonic() - min(self._processing.values())

    # --- inside ---

    def _want(self, key: K, priority: Priority, since: float) -> None:
        if key in self._processing:
            known, earlier = self._dirty.get(key, (priority, since))
            self._dirty[key] = (min(known, priority), earlier)
        else:
            self._enqueue(key, priority, since)

    def _enqueue(self, key: K, priority: Priority, since: float) -> None:
        if key in self._queued[Priority.LIVE]:
            return
        if priority is Priority.LIVE:
            since = self._queued[Priority.RESYNC].pop(key, since)
        self._queued[priority].setdefault(key, since)
        self._wake()

    def _promote(self) -> None:
        """Turn delayed keys whose time has come into live ones."""
        now = self._clock.monotonic()
        while self._due and self._due[0][0] <= now:
            due, _, key = heapq.heappop(self._due)
            if self._delayed.get(key) == due:
                del self._delayed[key]
                self._want(key, Priority.LIVE, due)

    def _pick(self) -> tuple[K] | None:
        """The next key in a box, so that any key may be falsy or None."""
        live, resync = self._queued[Priority.LIVE], self._queued[Priority.RESYNC]
        self._picks += 1
        turn = (resync, live) if self._picks % _FAIRNESS == 0 else (live, resync)
        for queue in turn:
            if queue:
                key, _ = queue.popitem(last=False)
                self._processing[key] = self._clock.monotonic()
                return (key,)
        return None

    async def _sleep(self) -> None:
        """Wait until there may be a key."""
        signal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(signal)
        try:
            if self._due:
                left = self._due[0][0] - self._clock.monotonic()
                await within(self._clock, left, _wait_for(signal))
            else:
                await signal
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            # The signal may have been meant for this worker alone: hand it on.
            self._wake()
            raise
        finally:
            if signal in self._waiting:
                self._waiting.remove(signal)

    def _wake(self) -> None:
        """Wake the worker that has slept longest.

        One for each key suffices: those behind it in the row fell asleep later, so they know of
        every time that was set before, and whoever is woken takes the newest time to the end.
        """
        while self._waiting:
            signal = self._waiting.popleft()
            if not signal.done():
                signal.set_result(None)
                return


async def _wait_for(signal: "asyncio.Future[None]") -> None:
    await signal
