"""What the trainer is told to begin with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from spot_training.checkpoint import records
from spot_training.checkpoint.manifest import Manifest

from spot_sidecar.lineage.access import Lineage
from spot_sidecar.state.attempt_state import Origin

__all__ = [
    "AlreadyCompleted",
    "Bringing",
    "Decision",
    "Fresh",
    "FromCheckpoint",
    "RestoredFile",
    "Stop",
]


@dataclass(frozen=True, slots=True)
class Fresh:
    """From zero."""

    name = "fresh"

    def to_json(self) -> dict[str, Any]:
        return {"decision": self.name}


@dataclass(frozen=True, slots=True)
class RestoredFile:
    """A verified object in shared memory: a safetensors file."""

    path: Path
    process: int
    role: str

    def to_json(self) -> dict[str, Any]:
        return {"path": str(self.path), "process": self.process, "role": self.role}


class Bringing(Protocol):
    """Brings a checkpoint's objects to this pod, verified; see `Fetch` and `DirectoryFetch`."""

    async def fetch(
        self, manifest: Manifest, rank: int, lineage: Lineage | None = None
    ) -> tuple[RestoredFile, ...]:
        """Download what the rank needs, from another `lineage` than the job's own if given.

        Raises NotFound, Corrupt, records.Damaged.
        """

    def discard(self) -> None:
        """Remove what was brought: it was loaded, or is of no use."""


@dataclass(frozen=True, slots=True)
class FromCheckpoint:
    """From these files, whose every byte was verified against the manifest."""

    manifest: Manifest
    files: tuple[RestoredFile, ...]
    lineage: str | None = None
    """Whose it is, where it is another job's."""
    name = "checkpoint"

    @property
    def origin(self) -> Origin:
        return Origin(self.manifest.attempt, self.manifest.step, self.manifest.id, self.lineage)

    def to_json(self) -> Mapping[str, Any]:
        return {
            "decision": self.name,
            **self.origin.to_json(),
            "files": [file.to_json() for file in self.files],
            "manifest": records.to_json(self.manifest),
        }


@dataclass(frozen=True, slots=True)
class AlreadyCompleted:
    """Not at all: `attempt` has completed the job."""

    attempt: int
    name = "completed"

    def to_json(self) -> dict[str, Any]:
        return {"decision": self.name}


@dataclass(frozen=True, slots=True)
class Stop:
    """Not at all: `word` is the ending's name, `reason` says what to change."""

    word: str
    reason: str
    name = "stop"

    def to_json(self) -> dict[str, Any]:
        return {"decision": self.name, "word": self.word, "reason": self.reason}


Decision = Fresh | FromCheckpoint | AlreadyCompleted | Stop
