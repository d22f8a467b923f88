"""The newest valid checkpoint, by the bucket's files and without the product's code.

A checkpoint counts if its manifest, or else a complete set of receipts, names objects whose every
byte is there: the length and the CRC64NVME are computed anew from the file.
"""

from __future__ import annotations

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
    """A lineage's folder under the server's data."""

    root: Path
    _whole: dict[str, bool] = field(default_factory=dict)

    def newest(self, *, below: int) -> Order | None:
        """(attempt, step) of the newest valid checkpoint of the attempts below."""
        orders = sorted(self.orders(), reverse=True)
        return next((o for o in orders if o[0] < below and self._valid(o)), None)

    def orders(self) -> set[Order]:
        """Everything that has a manifest or a receipt."""
        names = [path.stem[-32:] for path in self._json("commits")]
        names += [path.parent.name for path in self._json("ready")]
        return {order_of(name) for name in names}

    def committed(self) -> set[Order]:
        """What has a manifest."""
        return {order_of(path.stem[-32:]) for path in self._json("commits")}

    def tombstones(self) -> int:
        return len(self._json("quarantine"))

    def count(self, folder: str) -> int:
        """Files below one of the lineage's folders, for noticing that a new one came."""
        return sum(1 for _ in self._files(folder))

    def _valid(self, order: Order) -> bool:
        return any(self._objects_whole(document) for document in self._documents(order))

    def _documents(self, order: Order) -> list[Json]:
        """The manifest, or else the receipts of a complete set taken together."""
        id_ = f"a{order[0]:08d}-s{order[1]:012d}-"
        manifests = [_read(path) for path in self._json("commits") if id_ in path.name]
        receipts = [_read(path) for path in self._json("ready") if path.parent.name.startswith(id_)]
        if manifests or len(receipts) < (receipts[0]["ranks"] if receipts else 1):
            return manifests
        return [{"objects": [item for one in receipts for item in one["objects"]]}]

    def _objects_whole(self, document: Json) -> bool:
        return all(self._object_whole(item) for item in document["objects"])

    def _object_whole(self, item: Json) -> bool:
        """Objects are immutable: one that was whole is read once."""
        key = item["key"]
        if not self._whole.get(key):
            path = self.root / key
            body = path.read_bytes() if path.exists() else b""
            same = len(body) == item["size"] and f"{crc64nvme(body):016x}" == item["digest"]
            self._whole[key] = same
        return self._whole[key]

    def _json(self, folder: str) -> list[Path]:
        return [path for path in self._files(folder) if path.suffix == ".json"]

    def _files(self, folder: str) -> Iterable[Path]:
        return (path for path in (self.root / folder).rglob("*") if path.is_file())


def order_of(id_: str) -> Order:
    """`a<attempt>-s<step>-<nonce>` -> (attempt, step)."""
    attempt, step, _ = id_.split("-")
    return int(attempt[1:]), int(step[1:])


def _read(path: Path) -> Json:
    return dict(json.loads(path.read_bytes()))
