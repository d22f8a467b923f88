"""The newest valid checkpoint, by the lineage's files and without the product's code.

A checkpoint counts if its manifest, or else a complete set of receipts, is what it was written as
and names objects whose every byte is there: digests are computed anew from the files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from awscrt.checksums import crc64nvme

Order = tuple[int, int]
Json = dict[str, Any]


@dataclass(slots=True)
class Bucket:
    """A lineage's folder: below a server's data, or in a volume."""

    root: Path
    _whole: dict[str, bool] = field(default_factory=dict)

    def newest(self, *, below: int) -> Order | None:
        """(attempt, step) of the newest valid checkpoint of the attempts below."""
        orders = sorted(self.orders(), reverse=True)
        return next((o for o in orders if o[0] < below and self._valid(o)), None)

    def ids(self) -> list[str]:
        """Everything that has a manifest or a receipt, newest first."""
        names = {path.stem[-32:] for path in self._json("commits")}
        names |= {path.parent.name for path in self._json("ready")}
        return sorted(names, key=order_of, reverse=True)

    def valid_ids(self) -> list[str]:
        """Every valid checkpoint, newest first."""
        return [id_ for id_ in self.ids() if self._valid(order_of(id_))]

    def rotten_ids(self) -> list[str]:
        """What only reading shows to be damaged: every document and length is right."""
        return [
            id_
            for id_ in self.ids()
            if not self._valid(order_of(id_))
            and any(self._lengths_right(one) for one in self._documents(order_of(id_)))
        ]

    def orders(self) -> set[Order]:
        """(attempt, step) of everything that has a manifest or a receipt."""
        return {order_of(id_) for id_ in self.ids()}

    def committed(self) -> set[Order]:
        """What has a manifest."""
        return {order_of(path.stem[-32:]) for path in self._json("commits")}

    def tombstones(self) -> int:
        return len(self.quarantined())

    def quarantined(self) -> set[str]:
        """The ids that have a tombstone."""
        return {path.stem for path in self._json("quarantine")}

    def is_readable(self) -> bool:
        """Whether the lineage's format record is what it was written as."""
        return _sound(self.root / "format.json") is not None

    def chosen(self, attempt: int) -> str | None:
        """What the attempt chose last; None: nothing, or from zero."""
        choices = sorted(self._json(f"choice/{attempt:08d}"))
        return (_sound(choices[-1]) or {}).get("id") if choices else None

    def count(self, folder: str) -> int:
        """Files below one of the lineage's folders, for noticing that a new one came."""
        return sum(1 for _ in self._files(folder))

    def _valid(self, order: Order) -> bool:
        return any(self._objects_whole(document) for document in self._documents(order))

    def _documents(self, order: Order) -> list[Json]:
        """The manifest, or else the receipts of a complete set taken together."""
        start = f"a{order[0]:08d}-s{order[1]:012d}-"
        manifests = [path for path in self._json("commits") if start in path.name]
        if manifests:
            read = [(path.stem[-32:], _sound(path)) for path in manifests]
            return [one for name, one in read if one and one["id"] == name]
        receipts = [
            _sound(path) for path in self._json("ready") if path.parent.name.startswith(start)
        ]
        whole = [one for one in receipts if one]
        if not whole or len(whole) < whole[0]["ranks"]:
            return []
        return [{"objects": [item for one in whole for item in one["objects"]]}]

    def _objects_whole(self, document: Json) -> bool:
        return all(self._object_whole(item) for item in document["objects"])

    def _object_whole(self, item: Json) -> bool:
        """Objects are immutable: one that was whole is read once."""
        key = item["key"]
        if not self._whole.get(key):
            path = self.root / key
            body = path.read_bytes() if path.is_file() else b""
            same = len(body) == item["size"] and f"{crc64nvme(body):016x}" == item["digest"]
            self._whole[key] = same
        return self._whole[key]

    def _lengths_right(self, document: Json) -> bool:
        paths = [(self.root / item["key"], item["size"]) for item in document["objects"]]
        return all(path.is_file() and path.stat().st_size == size for path, size in paths)

    def _json(self, folder: str) -> list[Path]:
        return [path for path in self._files(folder) if path.suffix == ".json"]

    def _files(self, folder: str) -> Iterable[Path]:
        return (path for path in (self.root / folder).rglob("*") if path.is_file())


def order_of(id_: str) -> Order:
    """`a<attempt>-s<step>-<nonce>` -> (attempt, step)."""
    attempt, step, _ = id_.split("-")
    return int(attempt[1:]), int(step[1:])


def _sound(path: Path) -> Json | None:
    """A document, if its own digest is that of the rest of it."""
    try:
        document = json.loads(path.read_bytes())
        stated = document.pop("digest")
        canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
    return document if hashlib.sha256(canonical.encode()).hexdigest() == stated else None
