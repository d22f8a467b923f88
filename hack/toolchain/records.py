"""The images in the cache: one archive each, one record beside it, both put in place whole.

`<cache>/images/<name>.json` is the contract with the local cluster:
{"name", "reference", "archive", "key", "imageID", "bytes", "baseBytes"}; sizes are unpacked.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .build import point
from .docker_archive import image_id, unpacked_bytes
from .layout import Cache

KEPT = 2
"""Archives kept of each image: the current one, and the one a running cluster may still use."""


@dataclass(frozen=True)
class ImageRecord:
    """One image in the cache. `key` digests its inputs and is its tag too."""

    name: str
    reference: str
    archive: Path
    key: str
    image_id: str
    bytes: int
    base_bytes: int = 0

    @property
    def megabytes(self) -> float:
        return self.bytes / 1e6

    @property
    def megabytes_beside_base(self) -> float:
        """What the image adds to the base that all share."""
        return (self.bytes - self.base_bytes) / 1e6

    def to_json(self) -> str:
        fields = {
            "name": self.name,
            "reference": self.reference,
            "archive": str(self.archive),
            "key": self.key,
            "imageID": self.image_id,
            "bytes": self.bytes,
            "baseBytes": self.base_bytes,
        }
        return json.dumps(fields, indent=2)


def record_from(text: str) -> ImageRecord:
    """The record in a JSON text that `to_json` wrote."""
    fields = json.loads(text)
    return ImageRecord(
        name=fields["name"],
        reference=fields["reference"],
        archive=Path(fields["archive"]),
        key=fields["key"],
        image_id=fields["imageID"],
        bytes=fields["bytes"],
        base_bytes=fields["baseBytes"],
    )


def reference_for(name: str, key: str) -> str:
    """The image's `name:tag`. `localhost` is no registry: nothing is ever looked up there."""
    return f"localhost/spot-training/{name}:{key}"


def read_record(cache: Cache, name: str) -> ImageRecord | None:
    """The image of that name in the cache, if one has been made."""
    path = cache.images / f"{name}.json"
    if not path.is_file():
        return None
    record = record_from(path.read_text())
    return record if record.archive.is_file() else None


def current(cache: Cache, name: str, key: str) -> ImageRecord | None:
    """The image in the cache, if it was made from the inputs that `key` digests."""
    record = read_record(cache, name)
    return record if record and record.key == key else None


def publish(
    cache: Cache,
    name: str,
    key: str,
    make: Callable[[Path, str], None],
    base_bytes: int = 0,
) -> ImageRecord:
    """Let `make` write an archive for a reference, then put it and its record in place."""
    cache.images.mkdir(parents=True, exist_ok=True)
    reference = reference_for(name, key)
    unfinished = cache.images / f".{name}.unfinished"
    for left in cache.images.glob(f".{name}.unfinished*"):
        left.unlink()
    make(unfinished, reference)
    record = ImageRecord(
        name=name,
        reference=reference,
        archive=cache.images / f"{name}-{key}.tar",
        key=key,
        image_id=image_id(unfinished),
        bytes=unpacked_bytes(unfinished),
        base_bytes=base_bytes,
    )
    unfinished.replace(record.archive)
    point(cache.images / f"{name}.tar", record.archive)
    written = cache.images / f".{name}.unfinished-record"
    written.write_text(record.to_json() + "\n")
    written.replace(cache.images / f"{name}.json")
    _drop_old(cache, name, record.archive)
    return record


def _drop_old(cache: Cache, name: str, newest: Path) -> None:
    # A key has no dash, so `base-*` does not catch `base-build-<key>`.
    archives = [p for p in cache.images.glob(f"{name}-*.tar") if p.stem.rpartition("-")[0] == name]
    archives.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in [path for path in archives if path != newest][KEPT - 1 :]:
        path.unlink()
