"""A lineage under a prefix of an S3-compatible bucket.

Uploads are our own multipart loop over low-level calls: parts are slices of the mapping, each sent
with its precomputed CRC64NVME, which the server checks; the whole is checked on completion.
Downloads are ranged GETs straight into the target, hashed part by part. Creates are conditional
(`If-None-Match: *`); on 412 our own earlier write is recognised by its body. What a server was seen
not to do at the probe is done here instead: see `s3_probe` and `_create_unconditionally`.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial

from spot_training.checkpoint.content import Content, Room
from spot_training.checkpoint.digest import Digests
from spot_training.checkpoint.retry import Retry
from spot_training.checkpoint.store import (
    Cancel,
    Capabilities,
    Corrupt,
    Misconfigured,
    NotFound,
    Stat,
    Throttle,
    Written,
)
from spot_training.checkpoint.stores.s3_calls import Calls, OpenUpload, Page
from spot_training.checkpoint.stores.s3_client import Connection, S3Settings
from spot_training.checkpoint.stores.s3_errors import Precondition
from spot_training.checkpoint.stores.s3_probe import FRAMING, Ability, look
from spot_training.checkpoint.stores.s3_transfer import Transfer

SETTLE_SECONDS = 2.0  # twice the resolution of LastModified
_BALLOTS = ".ballots/"
_PEEK = 128


class S3Store:
    """One lineage; safe to use from many threads."""

    def __init__(
        self,
        settings: S3Settings,
        *,
        retry: Retry | None = None,
        settle: Callable[[float], None] = time.sleep,
    ) -> None:
        """`settle` waits (only without conditional writes)."""
        self._connection = Connection(settings)
        self._calls = Calls(self._connection)
        self._retry = retry or Retry()
        self._pool = ThreadPoolExecutor(settings.connections, thread_name_prefix="spot-s3")
        self._transfer = Transfer(self._calls, self._pool, self._retry)
        self._settle = settle
        self._seen: Ability | None = None
        self._probing = threading.Lock()

    def probe(self) -> Capabilities:
        ability = self._ability()
        return Capabilities(ability.conditional_create, ability.checksums)

    def create(self, key: str, body: bytes) -> bool:
        if self._ability().conditional_create:
            return self._create_conditionally(key, body)
        return self._create_unconditionally(key, body)

    def read(self, key: str) -> bytes:
        return self._retry.call(partial(self._calls.get, key))

    def read_range(self, key: str, start: int, size: int) -> bytes:
        return self._retry.call(partial(self._calls.get_some, key, start, size))

    def list(self, prefix: str, *, after: str = "") -> tuple[str, ...]:
        found = (key for key, _ in self._entries(prefix, after))
        return tuple(sorted(key for key in found if key > after))

    def written(self, prefix: str) -> Written:
        pages = list(self._pages(prefix))
        dates = [page.date for page in pages if page.date is not None]
        if len(dates) < len(pages):
            raise Misconfigured(
                "the server sends no Date header: how old its objects are cannot be told"
            )
        at = {key: time_.timestamp() for page in pages for key, time_ in page.entries}
        return Written(min(dates).timestamp(), at)

    def folders(self, prefix: str) -> tuple[str, ...]:
        found: list[str] = []
        token: str | None = None
        while True:
            names, token = self._retry.call(partial(self._calls.folders, prefix, token))
            found += names
            if token is None:
                return tuple(sorted(found))

    def stat(self, key: str) -> Stat:
        return self._retry.call(partial(self._calls.head, key))

    def upload(
        self,
        key: str,
        data: Content,
        digests: Digests,
        *,
        throttle: Throttle | None = None,
        cancel: Cancel | None = None,
    ) -> None:
        _expect_room(key, data, digests)
        ability = self._ability()
        self._transfer.upload(key, data, digests, throttle=throttle, cancel=cancel)
        self._expect_stored(key, digests)
        if not ability.verifies:
            self._transfer.read_back(key, digests, cancel)

    def download(
        self,
        key: str,
        into: Room,
        digests: Digests,
        *,
        cancel: Cancel | None = None,
    ) -> None:
        _expect_room(key, into, digests)
        if digests.size == 0:
            self._expect_stored(key, digests)
        self._transfer.download(key, into, digests, cancel)

    def delete(self, key: str) -> None:
        if self._seen is not None and not self._seen.conditional_create:
            for ballot in self.list(f"{_BALLOTS}{key}/"):  # else the key would come back with it
                self._retry.call(partial(self._calls.delete, ballot))
        self._retry.call(partial(self._calls.delete, key))

    def close(self) -> None:
        """Ends the transfer threads; transfers under way finish first."""
        self._pool.shutdown()

    def discard_abandoned(
        self, spare: Callable[[str], bool], *, older_seconds: float
    ) -> tuple[str, ...]:
        """See `Store.discard_abandoned`; an upload's age counts from its beginning."""
        now = self.written("probe/").now

        def spared(upload: OpenUpload) -> bool:
            young = now + 1 - upload.initiated.timestamp() < older_seconds  # Date has whole seconds
            return young or spare(upload.key)

        return self._transfer.discard_abandoned(spared)

    def _ability(self) -> Ability:
        with self._probing:
            if self._seen is None:
                self._seen = self._retry.call(partial(look, self._calls, self._connection))
                self._calls.md5 = not self._seen.checksums
            return self._seen

    def _create_conditionally(self, key: str, body: bytes) -> bool:
        """A refused retry may have met its own write, and not every server is as good as its word:
        of simultaneous creators versitygw 1.7 lets several pass, of whom the last one stands. So
        what stands decides, refused or not.
        """
        with contextlib.suppress(Precondition):
            self._retry.call(partial(self._calls.put, key, body, only_new=True))
        return self.read(key) == body

    def _create_unconditionally(self, key: str, body: bytes) -> bool:
        """Create-only without conditional writes.

        Every writer leaves its body under a unique key, waits until the server's clock has surely
        ticked, and lists: the earliest by (LastModified, nonce) has won, for everyone alike. All
        write the winner's body to the key, so it does not matter who does. Needs strong listing.
        """
        with contextlib.suppress(NotFound):
            return self.read(key) == body
        ballots = f"{_BALLOTS}{key}/"
        self._retry.call(partial(self._calls.put, ballots + uuid.uuid4().hex, body))
        self._settle(SETTLE_SECONDS)
        winner, _ = min(self._entries(ballots), key=lambda entry: (entry[1], entry[0]))
        won = self.read(winner)
        self._retry.call(partial(self._calls.put, key, won))
        return won == body

    def _entries(self, prefix: str, after: str = "") -> Iterator[tuple[str, datetime]]:
        for page in self._pages(prefix, after):
            yield from page.entries

    def _pages(self, prefix: str, after: str = "") -> Iterator[Page]:
        token: str | None = None
        while True:
            page = self._retry.call(partial(self._calls.page, prefix, token, after))
            yield page
            token = page.token
            if token is None:
                return

    def _expect_stored(self, key: str, digests: Digests) -> None:
        stat = self.stat(key)
        if stat.size > digests.size and FRAMING.match(self._peek(key)):
            raise Misconfigured(
                f"{key}: the store, or a proxy before it, keeps the aws-chunked framing of uploads "
                "inside the objects; nothing can be saved there: upgrade it, or use another"
            )
        if stat.size != digests.size:
            raise Corrupt(f"{key}: the server holds {stat.size} bytes of {digests.size}")
        if stat.algorithm == digests.algorithm and stat.checksum != digests.whole:
            raise Corrupt(f"{key}: the server holds {stat.checksum}, not {digests.whole}")

    def _peek(self, key: str) -> bytes:
        return self.read_range(key, 0, _PEEK)


def _expect_room(key: str, memory: Content | Room, digests: Digests) -> None:
    if len(memory) != digests.size:
        raise ValueError(f"{key}: {len(memory)} bytes of memory, digests of {digests.size}")
