"""The checkpoint that a lineage is compared by, every byte of it verified."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spot_training.checkpoint import codec, keys, layout
from spot_training.checkpoint.manifest import FILE, Manifest, StoredObject
from spot_training.checkpoint.union import union
from spot_training.cli.codes import Refusal
from spot_training.cli.places.place import Place
from spot_training.cli.references import resolve, short
from spot_training.cli.scratch import scratch
from spot_training.cli.survey import survey

RESULT = "result"


@dataclass(frozen=True, slots=True)
class Final:
    """The manifest to compare, and where it is."""

    place: Place
    manifest: Manifest

    @property
    def title(self) -> str:
        return f"{self.place.title} {short(self.manifest.id)}"

    def objects(self) -> dict[tuple[int, int], StoredObject]:
        """The states, by (rank, process)."""
        states = (item for item in self.manifest.objects if item.role != FILE)
        parsed = ((keys.parse_data(item.key), item) for item in states)
        return {(place[1], place[2]): item for place, item in parsed if place}

    def files(self) -> dict[str, StoredObject]:
        """The files that the script wrote itself, by path."""
        return {item.file.path: item for item in union(self.manifest.objects) if item.file}


@dataclass(frozen=True, slots=True)
class Opened:
    """One object's bytes, verified, and what is in them."""

    payload: memoryview
    slots: dict[str, layout.Slot]
    state: Any

    def content(self, name: str) -> memoryview:
        """The tensor's bytes."""
        slot = self.slots[name]
        return self.payload[slot.start : slot.end]


def find(place: Place, reference: str) -> Final:
    """What the lineage completed with, else its newest valid one; or the one that is named."""
    found = survey(place.store)
    if reference == RESULT:
        marker = found.markers.get(max(found.markers, default=0))
        reference = marker.id if marker else "newest"
    checkpoint = resolve(reference, found.ids(), found.newest())
    if checkpoint not in found.manifests:
        raise Refusal(f"{place.title} {short(checkpoint)}: {found.why_unread(checkpoint)}")
    return Final(place, found.manifests[checkpoint])


@contextlib.contextmanager
def opened(final: Final, item: StoredObject) -> Iterator[Opened]:
    """Downloads while hashing; raises Corrupt for a damaged object, which nobody compares."""
    with scratch(item.size) as payload:
        final.place.store.download(item.key, payload, item.digests)
        parsed = layout.parse(payload)
        slots = {slot.name: slot for slot in parsed.slots if slot.name != layout.STATE}
        yield Opened(payload, slots, codec.parse(parsed.state(payload)))
