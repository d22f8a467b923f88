"""Moves large objects: parts in parallel, each retried by itself, given up as one.

An upload that was interrupted, by trouble or with its process, is continued: the server is asked
which uploads of the key are open and which parts they have, and what matches the digests is not
sent again. So a transfer keeps no state of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from spot_training.checkpoint.content import Content, CutShortError, Room
from spot_training.checkpoint.digest import Digests
from spot_training.checkpoint.parallel import Group, together
from spot_training.checkpoint.retry import Retry, expect_going_on
from spot_training.checkpoint.store import (
    Cancel,
    Cancelled,
    Corrupt,
    Denied,
    NotFound,
    StoreError,
    Throttle,
    Unreachable,
)
from spot_training.checkpoint.stores.s3_calls import Calls, OpenUpload, SentPart
from spot_training.checkpoint.stores.s3_errors import (
    NoSuchUpload,
    NotImplementedThere,
    PartsLost,
    Refused,
)

Result = TypeVar("Result")
Parts = dict[int, SentPart]
_ROUNDS = 4
"""How often an upload is looked at anew after the server lost it, or parts of it."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """How objects are moved: the requests, the threads and the retries."""

    calls: Calls
    pool: ThreadPoolExecutor
    retry: Retry
    active: set[str] = field(default_factory=set)
    """Keys that are being uploaded by this process."""

    def upload(
        self,
        key: str,
        data: Content,
        digests: Digests,
        *,
        throttle: Throttle | None,
        cancel: Cancel | None,
    ) -> None:
        """Sends the object; the server has checked every part and the whole on return.

        After trouble (Unreachable, Denied, Misconfigured) the parts stay at the server and the
        next call goes on with them; after anything else they are removed.
        """
        if len(digests.parts) <= 1:
            _throttled(throttle, len(data), cancel)
            put = partial(self.calls.put_data, key, data[0 : len(data)], digests, cancel)
            twice_if_corrupt(partial(self.retry.call, put, cancel))
            return
        with self._active(key):
            for _ in range(_ROUNDS):
                with contextlib.suppress(NoSuchUpload, PartsLost):
                    self._go_on(key, data, digests, throttle, cancel)
                    return
                expect_going_on(cancel, key)
            for found in self._open_uploads(key):
                self._abort(found.key, found.id)  # the next call begins anew
            raise Unreachable(f"{key}: the server lost the upload, or parts of it, {_ROUNDS} times")

    def download(self, key: str, into: Room, digests: Digests, cancel: Cancel | None) -> None:
        """Fills `into`; raises Corrupt if a part differs twice."""
        group = Group(cancel, threading.Event())

        def fetch(start: int, end: int, expected: str) -> None:
            def get() -> None:
                found = self.calls.get_range(key, start, end, into, digests, group)
                _expect_digest(key, start, end, found, expected)

            twice_if_corrupt(partial(self.retry.call, get, group))

        self._together(
            group,
            (
                partial(fetch, start, end, expected)
                for (start, end), expected in zip(digests.part_ranges(), digests.parts, strict=True)
            ),
        )

    def read_back(self, key: str, digests: Digests, cancel: Cancel | None) -> None:
        """Compares what the server holds with its digests; raises Corrupt if it differs twice."""
        group = Group(cancel, threading.Event())

        def look(start: int, end: int, expected: str) -> None:
            def hashed() -> None:
                found = self.calls.hash_range(key, start, end, digests, group)
                _expect_digest(key, start, end, found, expected)

            twice_if_corrupt(partial(self.retry.call, hashed, group))

        self._together(
            group,
            (
                partial(look, start, end, expected)
                for (start, end), expected in zip(digests.part_ranges(), digests.parts, strict=True)
            ),
        )

    def discard_abandoned(self, spare: Callable[[OpenUpload], bool]) -> tuple[str, ...]:
        """Aborts the uploads that are neither spared nor this process's own; returns their keys."""
        discarded = []
        for upload in self._open_uploads(""):
            if upload.key not in self.active and not spare(upload):
                with contextlib.suppress(NoSuchUpload):
                    self.retry.call(partial(self.calls.abort_upload, upload.key, upload.id))
                    discarded.append(upload.key)
        return tuple(sorted(discarded))

    def _go_on(
        self,
        key: str,
        data: Content,
        digests: Digests,
        throttle: Throttle | None,
        cancel: Cancel | None,
    ) -> None:
        upload, parts = self._begun(key, data, digests)
        if not upload:
            if self._is_there(key, digests):
                return
            start = partial(self.calls.start_upload, key, digests.algorithm)
            upload = self.retry.call(start, cancel)
        try:
            self._send_missing(key, upload, data, digests, parts, throttle=throttle, cancel=cancel)
            self._finish(key, upload, parts, digests, cancel)
        except (Corrupt, Cancelled, CutShortError, ValueError):
            with contextlib.suppress(StoreError):
                self.calls.abort_upload(key, upload)
            raise

    def _begun(self, key: str, data: Content, digests: Digests) -> tuple[str, Parts]:
        """The open upload of this key that has most of the object; the others are aborted."""
        best, most = "", Parts()
        for found in self._open_uploads(key):
            if found.key != key:
                continue
            with contextlib.suppress(NoSuchUpload):
                parts = self._usable(key, found.id, data, digests)
                if best and len(parts) <= len(most):
                    self._abort(key, found.id)
                    continue
                if best:
                    self._abort(key, best)
                best, most = found.id, parts
        return best, most

    def _usable(self, key: str, upload: str, data: Content, digests: Digests) -> Parts:
        list_parts = partial(self.calls.parts, key, upload, digests.algorithm)
        ranges = digests.part_ranges()
        return {
            part.number: part
            for part in self.retry.call(list_parts)
            if part.number <= len(ranges) and self._is_part(part, data, digests)
        }

    def _is_part(self, part: SentPart, data: Content, digests: Digests) -> bool:
        start, end = digests.part_ranges()[part.number - 1]
        if part.size != end - start:
            return False
        if self.calls.md5:
            told = hashlib.md5(data[start:end], usedforsecurity=False).hexdigest()
            return part.etag.strip('"') == told
        return part.digest == digests.parts[part.number - 1]

    def _send_missing(
        self,
        key: str,
        upload: str,
        data: Content,
        digests: Digests,
        parts: Parts,
        *,
        throttle: Throttle | None,
        cancel: Cancel | None,
    ) -> None:
        """Sends what is not in `parts` and enters it there."""
        group = Group(cancel, threading.Event())

        def send(number: int, start: int, end: int) -> None:
            _throttled(throttle, end - start, group)
            expect_going_on(group, key)
            part = data[start:end]  # only now: a file's parts are read into memory
            put = partial(self.calls.put_part, key, upload, number, part, digests, cancel=group)
            parts[number] = twice_if_corrupt(partial(self.retry.call, put, group))

        self._together(
            group,
            (
                partial(send, number, start, end)
                for number, (start, end) in enumerate(digests.part_ranges(), 1)
                if number not in parts
            ),
        )
        expect_going_on(cancel, key)

    def _finish(
        self, key: str, upload: str, parts: Parts, digests: Digests, cancel: Cancel | None
    ) -> None:
        """Completes the upload; if it is gone, an earlier completion's answer may be lost."""
        ordered = [parts[number] for number in sorted(parts)]
        finish = partial(self.calls.finish_upload, key, upload, ordered, digests)
        try:
            self.retry.call(finish, cancel)
        except NoSuchUpload:
            if not self._is_there(key, digests, any_checksum=True):
                raise

    def _is_there(self, key: str, digests: Digests, *, any_checksum: bool = False) -> bool:
        """Whether the object stands; by its size alone only if we have just completed it."""
        try:
            stat = self.retry.call(partial(self.calls.head, key))
        except NotFound:
            return False
        told = stat.checksum if stat.algorithm == digests.algorithm else None
        return stat.size == digests.size and (
            told == digests.whole or (told is None and any_checksum)
        )

    def _open_uploads(self, prefix: str) -> list[OpenUpload]:
        """None where the server cannot list them or does not let us."""
        try:
            return self.retry.call(partial(self.calls.uploads, prefix))
        except (Denied, NotImplementedThere, NotFound, Refused):
            return []

    def _abort(self, key: str, upload: str) -> None:
        with contextlib.suppress(StoreError):
            self.calls.abort_upload(key, upload)

    @contextlib.contextmanager
    def _active(self, key: str) -> Iterator[None]:
        self.active.add(key)
        try:
            yield
        finally:
            self.active.discard(key)

    def _together(self, group: Group, jobs: Iterable[Callable[[], Result]]) -> list[Result]:
        return together(self.pool, group, jobs)


def twice_if_corrupt(action: Callable[[], Result]) -> Result:
    """One bad transfer is the network's fault; two are evidence."""
    try:
        return action()
    except Corrupt:
        return action()


def _expect_digest(key: str, start: int, end: int, found: str, expected: str) -> None:
    if found != expected:
        raise Corrupt(f"{key}: bytes {start} to {end} do not match their digest")


def _throttled(throttle: Throttle | None, size: int, cancel: Cancel | None) -> None:
    if throttle is not None:
        throttle.take(size, cancel)
