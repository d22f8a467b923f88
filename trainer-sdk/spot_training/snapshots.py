"""From the trainer's state to a payload in an arena, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spot_training.checkpoint import codec, layout
from spot_training.checkpoint.codec import Array
from spot_training.checkpoint.layout import Layout
from spot_training.checkpoint.records import Damaged, UnsupportedSchema

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """What is told about a snapshot beside its bytes. `taken_at` is RFC 3339 UTC.

    `dataset`: {"exact": whether a run resumed from here is sure to have the bits of an
    uninterrupted one, "why": why not}; None if nothing is known.
    """

    step: int
    samples: int
    epoch: int
    reason: str
    stall_seconds: float
    taken_at: str
    dataset: dict[str, Any] | None = None


@dataclass(slots=True)
class Writer:
    """Lays snapshots out; keeps the layout of the first one for as long as it fits."""

    _layout: Layout | None = field(default=None)

    def prepare(self, arrays: Mapping[str, Any], plain: Any) -> Prepared:
        """Plans (or keeps) the layout; nothing is copied yet. Raises TypeError naming an array
        whose dtype has no place in the format."""
        state = codec.text({"schema": SCHEMA, **plain})
        specs = {name: _spec(name, array) for name, array in arrays.items()}
        if self._layout is None or not self._layout.fits(specs, len(state)):
            self._layout = layout.plan(specs, state_bytes=len(state))
        return Prepared(self._layout, arrays, state)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A snapshot about to be copied: `bytes` is the room that it needs."""

    layout: Layout
    arrays: Mapping[str, Any]
    state: bytes

    @property
    def bytes(self) -> int:
        return self.layout.size

    def write(self, payload: memoryview) -> None:
        """The one memory copy."""
        self.layout.write(payload, self.arrays, self.state)


def read(payload: memoryview) -> tuple[dict[str, Array], dict[str, Any]]:
    """Arrays (views into `payload`) and plain state.

    Raises Damaged, or UnsupportedSchema if a newer version laid the state out.
    """
    parsed = layout.parse(payload)
    plain = codec.parse(parsed.state(payload))
    schema = plain.get("schema") if isinstance(plain, dict) else None
    if not isinstance(plain, dict) or not isinstance(schema, int):
        raise Damaged("the snapshot's state names no schema")
    if schema > SCHEMA:
        raise UnsupportedSchema(
            f"the snapshot's state has schema {schema}, this version reads up to {SCHEMA}: "
            "upgrade spot-training in the trainer's image, or resume with the version that wrote it"
        )
    return parsed.views(payload), plain


def _spec(name: str, array: Any) -> layout.Spec:
    try:
        return layout.spec_of(array)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from error
