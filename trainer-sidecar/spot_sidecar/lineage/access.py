"""The job's store, reached without ever blocking the event loop.

Trouble on the way (network, permissions, settings) says nothing about a checkpoint: `patiently`
waits it out, for as long as it takes, and tells the operator why it waits. What a store says about
the content (`NotFound`, `Corrupt`) is the caller's to judge.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from spot_training.checkpoint.store import Denied, Misconfigured, Store, StoreError, Unreachable

from spot_sidecar.observability.metrics import Metrics
from spot_sidecar.state.attempt_state import AttemptState

__all__ = ["Lineage"]

log = logging.getLogger(__name__)

T = TypeVar("T")
THREADS = 6
"""An upload, a download, the claims' watch and a few small calls at once."""
WAITS = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between two tries, on top of the store's own retries; the last one repeats."""
TROUBLE = (Unreachable, Denied, Misconfigured)
PROBLEMS = ("StoreUnreachable", "StoreDenied")


class _Connection:
    """The store, made once, at its first use that succeeds. For threads."""

    def __init__(self, make: Callable[[], Store]) -> None:
        self.make = make
        self._store: Store | None = None
        self._making = threading.Lock()

    def act(self, action: Callable[[Store], T]) -> T:
        with self._making:
            if self._store is None:
                self._store = self.make()
        return action(self._store)


class Lineage:
    """One job's objects, by calls in threads."""

    def __init__(
        self,
        connect: Callable[[], Store],
        attempt_state: AttemptState,
        metrics: Metrics,
        threads: ThreadPoolExecutor | None = None,
    ) -> None:
        """`connect` makes the store, in a thread, at the first use that succeeds, if not
        before."""
        self._connection = _Connection(connect)
        self._attempt_state = attempt_state
        self._metrics = metrics
        self._threads = threads or ThreadPoolExecutor(THREADS, thread_name_prefix="store")

    def for_attempt(self, attempt_state: AttemptState) -> "Lineage":
        """The same lineage by the same connection; trouble is told to that attempt."""
        other = Lineage(self._connection.make, attempt_state, self._metrics, self._threads)
        other._connection = self._connection
        return other

    def beside(self, connect: Callable[[], Store]) -> "Lineage":
        """Another lineage, reached by the same threads; both are closed together."""
        return Lineage(connect, self._attempt_state, self._metrics, self._threads)

    async def connect(self) -> None:
        """Make the store ahead of its first use, which meets, and tells, what trouble there is."""
        with contextlib.suppress(StoreError):
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._threads, self._connection.act, _nothing)

    async def once(self, action: Callable[[Store], T]) -> T:
        """Run `action` with the store in a thread.

        Raises:
            StoreError: see `spot_training.checkpoint.store`; trouble is also reported.
        """
        loop = asyncio.get_running_loop()
        try:
            result = await loop.run_in_executor(self._threads, self._connection.act, action)
        except StoreError as error:
            self._tell(error)
            raise
        self._attempt_state.solved(*PROBLEMS)
        return result

    async def patiently(self, action: Callable[[Store], T]) -> T:
        """Run `action` until the store can be reached and lets us in.

        Raises:
            StoreError: but never Unreachable, Denied or Misconfigured.
        """
        failures = 0
        while True:
            try:
                return await self.once(action)
            except TROUBLE:
                wait = WAITS[min(failures, len(WAITS) - 1)]
                await self._attempt_state.clock.sleep(
                    self._attempt_state.entropy.uniform(wait / 2, wait)
                )
                failures += 1

    def close(self) -> None:
        """Take no more work; a call that is running is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _tell(self, error: StoreError) -> None:
        self._metrics.store_errors.labels(type(error).__name__).inc()
        if isinstance(error, TROUBLE):
            kind = "StoreDenied" if isinstance(error, Denied) else "StoreUnreachable"
            log.warning("store: %s: %s", type(error).__name__, error)
            self._attempt_state.meet(kind, str(error))


def _nothing(_: Store) -> None:
    """To connect is all that is wanted."""
