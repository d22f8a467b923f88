"""Moves large objects: parts in parallel, each retried by itself, given up as one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from spot_training.checkpoint.content import Content
from spot_training.checkpoint.digest import Digests, algorithm
from spot_training.checkpoint.retry import Retry, expect_going_on
from spot_training.checkpoint.store import Cancel, Cancelled, Corrupt, StoreError, Throttle
from spot_training.checkpoint.stores.s3_calls import Calls
from spot_training.checkpoint.stores.s3_errors import NoSuchUpload

Result = TypeVar("Result")
_POLL = 0.1


@dataclass(frozen=True, slots=True)
class Group:
    """The parts of one transfer: they stop together when one fails or the caller gives up."""

    caller: Cancel | None
    failed: threading.Event

    def is_set(self) -> bool:
        return self.failed.is_set() or (self.caller is not None and self.caller.is_set())

    def wait(self, timeout: float) -> bool:
        while timeout > 0 and not self.is_set():
            self.failed.wait(min(_POLL, timeout))
            timeout -= _POLL
        return self.is_set()


@dataclass(frozen=True, slots=True)
class Transfer:
    """How objects are moved: the requests, the threads and the retries."""

    calls: Calls
    pool: ThreadPoolExecutor
    retry: Retry

    def upload(
        self,
        key: str,
        data: Content,
        digests: Digests,
        *,
        throttle: Throttle | None,
        cancel: Cancel | None,
    ) -> None:
        """Sends the object; the server has checked every part and the whole on return."""
        if len(digests.parts) <= 1:
            _throttled(throttle, len(data), cancel)
            put = partial(self.calls.put_data, key, data[0 : len(data)], digests, cancel)
            twice_if_corrupt(partial(self.retry.call, put, cancel))
            return
        upload = self.retry.call(partial(self.calls.start_upload, key, digests.algorithm), cancel)
        try:
            self._upload_parts(key, upload, data, digests, throttle=throttle, cancel=cancel)
        except BaseException:
            with contextlib.suppress(StoreError):
                self.calls.abort_upload(key, upload)
            raise

    def download(self, key: str, into: memoryview, digests: Digests, cancel: Cancel | None) -> None:
        """Fills `into`; raises Corrupt if a part differs twice."""
        group = Group(cancel, threading.Event())
        parts = zip(digests.part_ranges(), digests.parts, strict=True)
        self._together(
            group,
            (
                partial(
                    self._download_part,
                    key,
                    start,
                    into[start:end],
                    expected,
                    digests=digests,
                    group=group,
                )
                for (start, end), expected in parts
            ),
        )

    def _upload_parts(
        self,
        key: str,
        upload: str,
        data: Content,
        digests: Digests,
        *,
        throttle: Throttle | None,
        cancel: Cancel | None,
    ) -> None:
        group = Group(cancel, threading.Event())

        def send(number: int, start: int, end: int) -> dict[str, Any]:
            _throttled(throttle, end - start, group)
            expect_going_on(group)
            part = data[start:end]  # only now: a file's parts are read into memory
            put = partial(self.calls.put_part, key, upload, number, part, digests, cancel=group)
            return twice_if_corrupt(partial(self.retry.call, put, group))

        numbered = enumerate(digests.part_ranges(), 1)
        jobs = (partial(send, number, start, end) for number, (start, end) in numbered)
        parts = self._together(group, jobs)
        expect_going_on(cancel)
        # Gone: the answer to an earlier completion was lost. The caller looks at the object next.
        with contextlib.suppress(NoSuchUpload):
            self.retry.call(partial(self.calls.finish_upload, key, upload, parts, digests), cancel)

    def _download_part(
        self,
        key: str,
        start: int,
        into: memoryview,
        expected: str,
        *,
        digests: Digests,
        group: Group,
    ) -> None:
        digest = algorithm(digests.algorithm)

        def fetch() -> None:
            self.calls.get_range(key, start, into, digests.size, group)
            if digest.of(into) != expected:
                raise Corrupt(
                    f"{key}: bytes {start} to {start + len(into)} do not match their digest"
                )

        twice_if_corrupt(partial(self.retry.call, fetch, group))

    def _together(self, group: Group, jobs: Iterable[Callable[[], Result]]) -> list[Result]:
        """Runs the jobs in the pool; after the first failure the others give up."""
        futures = [self.pool.submit(job) for job in jobs]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            if not all(_succeeded(future) for future in futures):
                group.failed.set()
                wait(futures)
        _raise_first(futures)
        return [future.result() for future in futures]


def twice_if_corrupt(action: Callable[[], Result]) -> Result:
    """One bad transfer is the network's fault; two are evidence."""
    try:
        return action()
    except Corrupt:
        return action()


def _throttled(throttle: Throttle | None, size: int, cancel: Cancel | None) -> None:
    if throttle is not None:
        throttle.take(size, cancel)


def _succeeded(future: Future[Any]) -> bool:
    return future.done() and future.exception() is None


def _raise_first(futures: list[Future[Any]]) -> None:
    """Raises what went wrong first; that others gave up for it is no cause."""
    errors = [error for future in futures if (error := future.exception()) is not None]
    causes = [error for error in errors if not isinstance(error, Cancelled)]
    for error in causes or errors:
        raise error
