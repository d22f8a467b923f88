"""Objects parsed once per version: a pass looks at hundreds that have not changed since the last.

Entries go when their object goes; nothing else bounds them, as nothing else bounds the cache.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from spot_operator.control.informers import Cache
from spot_operator.control.store import Change

__all__ = ["ParseCache"]

V = TypeVar("V")
Json = dict[str, Any]


class ParseCache(Generic[V]):
    """`parse`d views of the objects of one informer."""

    def __init__(self, informer: Cache, parse: Callable[[Json], V]) -> None:
        self._parse = parse
        self._known: dict[str, tuple[Json, V]] = {}
        informer.subscribe(self._forget_gone)

    def of(self, item: Json) -> V:
        """The view of `item`, an object of the informer. Raises what `parse` raises."""
        uid = item["metadata"]["uid"]
        known = self._known.get(uid)
        # The cache never changes an object in place: the same object means the same view.
        if known is None or known[0] is not item:
            known = self._known[uid] = (item, self._parse(item))
        return known[1]

    def _forget_gone(self, change: Change) -> None:
        if change.new is None:
            self._known.pop(change.item["metadata"]["uid"], None)
