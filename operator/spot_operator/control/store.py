"""Objects by uid, with indexes: a cache that only its informer writes.

Keyed by uid, so that a re-created object of the same name is another object. What it returns is
shared and must not be changed.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from spot_operator.control.client import Json

__all__ = ["Change", "Index", "Listener", "Store"]

Index = Callable[[Json], Iterable[str]]
"""The keys under which an object is found in one index; may be none."""


class Change(NamedTuple):
    """One step of the cache: `old` None for a new object, `new` for one that is gone.

    `live` is False for what a list brought to light: it may be old news, and there may be a lot.
    """

    old: Json | None
    new: Json | None
    live: bool

    @property
    def item(self) -> Json:
        """The newest state there is: of a deleted object, its last."""
        found = self.new or self.old
        if found is None:
            raise AssertionError("a change has at least one side")
        return found


Listener = Callable[[Change], None]
"""Hears of each change after it is in the store; may do no more than enqueue keys."""


class Store:
    """See the module. `indexes` are fixed for life."""

    def __init__(self, indexes: dict[str, Index]) -> None:
        self._items: dict[str, Json] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._index_of = indexes
        self._indexed: dict[str, dict[str, dict[str, Json]]] = {name: {} for name in indexes}

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Json]:
        return iter(list(self._items.values()))

    def get(self, uid: str) -> Json | None:
        """The object of this uid, if it exists."""
        return self._items.get(uid)

    def named(self, name: str, namespace: str = "") -> Json | None:
        """The object that has this name now."""
        uid = self._names.get((namespace, name))
        return None if uid is None else self._items[uid]

    def by_index(self, index: str, key: str) -> list[Json]:
        """Objects that `index` files under `key`, in the order in which they were filed.

        Raises:
            KeyError: there is no such index.
        """
        return list(self._indexed[index].get(key, {}).values())

    def keys(self, index: str) -> list[str]:
        """Every key of an index that has objects."""
        return list(self._indexed[index])

    def put(self, item: Json) -> Json | None:
        """File an object; returns what was there under its uid."""
        uid = item["metadata"]["uid"]
        old = self.remove(uid)
        self._items[uid] = item
        self._names[_name_of(item)] = uid
        for index, keys_of in self._index_of.items():
            for key in keys_of(item):
                self._indexed[index].setdefault(key, {})[uid] = item
        return old

    def remove(self, uid: str) -> Json | None:
        """Forget an object; returns it, or None if it was not here."""
        old = self._items.pop(uid, None)
        if old is None:
            return None
        if self._names.get(_name_of(old)) == uid:
            del self._names[_name_of(old)]
        for index, keys_of in self._index_of.items():
            for key in keys_of(old):
                self._unfile(self._indexed[index], key, uid)
        return old

    @staticmethod
    def _unfile(filed: dict[str, dict[str, Json]], key: str, uid: str) -> None:
        under = filed.get(key, {})
        under.pop(uid, None)
        if not under:
            filed.pop(key, None)


def _name_of(item: Json) -> tuple[str, str]:
    meta = item["metadata"]
    return meta.get("namespace", ""), meta["name"]
