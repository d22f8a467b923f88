"""State that goes from one process to another, by way of a snapshot's real bytes."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from kit.trainers import restoring
from spot_training import snapshots
from spot_training.state import TrainingState


def snapshot_of(state: TrainingState) -> memoryview:
    """The payload that an arena would hold."""
    prepared = snapshots.Writer().prepare(*state.capture())
    payload = memoryview(bytearray(prepared.bytes))
    prepared.write(payload)
    return payload.toreadonly()


def loaded(payload: memoryview, target: TrainingState) -> list[str]:
    """Restores `target` as `resume` does; returns the names of what differs then (V5)."""
    beginning = restoring(payload)
    stored, plain = snapshots.read(beginning.payload.toreadonly())
    target.restore(plain, stored)
    stored.clear()
    return target.differences(plain, beginning.tensors, beginning.algorithm)


def moved(source: TrainingState, target: TrainingState) -> list[str]:
    """From one to the other."""
    return loaded(snapshot_of(source), target)


def of_objects(**objects: Any) -> TrainingState:
    """State of named objects alone."""
    return TrainingState(objects=objects)


def of_extras(extras: MutableMapping[str, Any]) -> TrainingState:
    """State of extras alone."""
    return TrainingState(extras=extras)
