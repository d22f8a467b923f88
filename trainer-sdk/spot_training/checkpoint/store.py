"""What a store must do. Synchronous and thread-safe; keys are relative to one lineage.

StoreError
├── NotFound       the key is not there, while the place it would be in can be seen
├── Unreachable    network, time-out, server trouble, disk trouble: the same call may work later
├── Denied         credentials or permissions: works after somebody changed them
├── Misconfigured  no such bucket, wrong region or endpoint: works after somebody changed it
├── Corrupt        the bytes contradict their digest, twice, or the key is not a plain file
└── Cancelled      the caller's cancel event was set

Only NotFound and Corrupt say anything about a checkpoint; the rest is about the way to it.
"""

# ruff: noqa: N818 - errors are named for what happened
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from spot_training.checkpoint.content import Content, Room
from spot_training.checkpoint.digest import Digests


class StoreError(Exception):
    """A store did not do what it was asked; the message says what to change."""


class NotFound(StoreError):
    """The key does not exist."""


class Unreachable(StoreError):
    """The store could not be reached or is in trouble; nothing is known about the key."""


class Denied(StoreError):
    """The store refused the credentials; nothing is known about the key."""


class Misconfigured(StoreError):
    """The store's settings are wrong; nothing is known about the key."""


class Corrupt(StoreError):
    """What was read (or stored) differs from its digest after a second look, or is not a file."""


class Cancelled(StoreError):
    """The transfer was given up because its cancel event was set."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the store was seen to do.

    `conditional_create`: refuses to overwrite when asked; without it creates are slower.
    `checksums`: keeps a full-object checksum and tells it in `stat`.
    """

    conditional_create: bool
    checksums: bool


@dataclass(frozen=True, slots=True)
class Stat:
    """Size in bytes, and the checksum the server holds (None where it keeps none)."""

    size: int
    algorithm: str | None = None
    checksum: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """When keys were written, in unix seconds, all by the store's own clock.

    `now` is the store's time of the look: no other machine's clock says how old a key is.
    """

    now: float
    at: Mapping[str, float]

    def age(self, key: str) -> float:
        """Seconds since the key was written; raises KeyError if it was not there."""
        return self.now - self.at[key]


class Cancel(Protocol):
    """A caller's wish to give up; `threading.Event` is one."""

    def is_set(self) -> bool:
        """Whether to give up."""

    def wait(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds for `is_set`."""


class Throttle(Protocol):
    """Slows an upload down."""

    def take(self, size: int, cancel: Cancel | None) -> None:
        """Returns when `size` more bytes may be sent, or at once when `cancel` is set."""


class Store(Protocol):
    """One lineage's objects."""

    def probe(self) -> Capabilities:
        """Writes, overwrites, reads and deletes a probe object; the result is remembered.

        Raises Unreachable, Denied or Misconfigured when the store cannot be used.
        """

    def create(self, key: str, body: bytes) -> bool:
        """Creates the key, never overwrites. True: it now holds `body`. False: another body.

        A retry after a lost answer is True as well, so the body must be unique to the writer
        wherever it matters who wrote it. Atomic on a directory and on S3 itself. A compatible
        server whose condition is not atomic may tell two creators of the same instant True;
        asking again once they are done tells the truth.
        """

    def read(self, key: str) -> bytes:
        """The whole object (for documents). Raises NotFound."""

    def read_range(self, key: str, start: int, size: int) -> bytes:
        """Up to `size` bytes (at least 1) from byte `start`; fewer where the object ends.

        Nothing is checked against a digest. Raises NotFound.
        """

    def list(self, prefix: str, *, after: str = "") -> tuple[str, ...]:
        """Every key that begins with `prefix` and is greater than `after`, ascending.

        What comes before `after` costs nothing, however much that is.
        """

    def written(self, prefix: str) -> Written:
        """When every key that begins with `prefix` was last written, and the time there now.

        Raises Misconfigured if the store does not tell its time.
        """

    def folders(self, prefix: str) -> tuple[str, ...]:
        """Names directly below `prefix` (which ends with a slash) that hold keys, ascending."""

    def stat(self, key: str) -> Stat:
        """Size and stored checksum. Raises NotFound."""

    def upload(
        self,
        key: str,
        data: Content,
        digests: Digests,
        *,
        throttle: Throttle | None = None,
        cancel: Cancel | None = None,
    ) -> None:
        """Stores `data` in parts; returns when it is durable and as long as its digests say.

        The key must be unique to this content. Raises Corrupt if `data` no longer has `digests`.
        """

    def download(
        self,
        key: str,
        into: Room,
        digests: Digests,
        *,
        cancel: Cancel | None = None,
    ) -> None:
        """Reads the object into `into` (exactly its size), hashing every part on the way.

        A part that differs is read once more; then Corrupt. Raises NotFound, and what `into` does.
        """

    def delete(self, key: str) -> None:
        """Deletes the key; nothing happens if it is not there."""

    def discard_abandoned(
        self, spare: Callable[[str], bool], *, older_seconds: float
    ) -> tuple[str, ...]:
        """Removes what writers that died left of unfinished uploads; returns their keys.

        Only what is at least `older_seconds` old by the store's own clock, whose key is not
        spared, and which this process is not working on.
        """
