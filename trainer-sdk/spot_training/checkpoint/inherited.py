"""Another job's lineage, as a job sees it that goes on from it (`resumeFrom`): read, never written.

What the job has to say of it stands in its own lineage: choices and posts where they always do,
what it found bad there (evidence, tombstones) below `inherited/`, because that would otherwise be
taken for something about its own checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable

from spot_training.checkpoint import keys
from spot_training.checkpoint.content import Content, Room
from spot_training.checkpoint.digest import Digests
from spot_training.checkpoint.store import (
    Cancel,
    Capabilities,
    NotFound,
    Stat,
    Store,
    Throttle,
    Written,
)

_OWN = (keys.CHOICES, keys.POSTS)
_ANNOTATED = (keys.EVIDENCE, keys.TOMBSTONES)


class InheritedLineage:
    """A Store: the `other` lineage with this job's findings in it, which lie in its `own`.

    Raises ValueError for every write that belongs into the other lineage.
    """

    def __init__(self, own: Store, other: Store | None) -> None:
        """`other` None: there is no such lineage; it then seems empty."""
        self._own = own
        self._source = other

    def probe(self) -> Capabilities:
        return self._own.probe()

    def create(self, key: str, body: bytes) -> bool:
        return self._own.create(_noted(key), body)

    def read(self, key: str) -> bytes:
        if key.startswith(_OWN):
            return self._own.read(key)
        if key.startswith(_ANNOTATED):
            try:
                return self._own.read(_noted(key))
            except NotFound:
                pass
        return self._other.read(key)

    def read_range(self, key: str, start: int, size: int) -> bytes:
        return self._other.read_range(key, start, size)

    def list(self, prefix: str, *, after: str = "") -> tuple[str, ...]:
        if prefix.startswith(_OWN):
            return self._own.list(prefix, after=after)
        found = self._source.list(prefix, after=after) if self._source else ()
        if not prefix.startswith(_ANNOTATED):
            return found
        noted = self._own.list(_noted(prefix), after=_noted(after) if after else "")
        return tuple(sorted({*found, *(key.removeprefix(keys.INHERITED) for key in noted)}))

    def written(self, prefix: str) -> Written:
        return self._other.written(prefix)

    def folders(self, prefix: str) -> tuple[str, ...]:
        return self._source.folders(prefix) if self._source else ()

    def stat(self, key: str) -> Stat:
        return self._other.stat(key)

    def upload(
        self,
        key: str,
        data: Content,
        digests: Digests,
        *,
        throttle: Throttle | None = None,
        cancel: Cancel | None = None,
    ) -> None:
        self._own.upload(_noted(key), data, digests, throttle=throttle, cancel=cancel)

    def download(
        self, key: str, into: Room, digests: Digests, *, cancel: Cancel | None = None
    ) -> None:
        self._other.download(key, into, digests, cancel=cancel)

    def delete(self, key: str) -> None:
        self._own.delete(_noted(key))

    def discard_abandoned(
        self, spare: Callable[[str], bool], *, older_seconds: float
    ) -> tuple[str, ...]:
        """Nothing: whose uploads they are, may still be at work on them."""
        del spare, older_seconds
        return ()

    @property
    def _other(self) -> Store:
        if self._source is None:
            raise NotFound("the store holds no such lineage")
        return self._source


def _noted(key: str) -> str:
    """Where in its own lineage the job writes what it has to say under `key`."""
    if key.startswith(_OWN):
        return key
    if key.startswith(_ANNOTATED):
        return keys.INHERITED + key
    raise ValueError(f"{key} would be written into another job's lineage")
