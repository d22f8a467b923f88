"""A snapshot as the trainer hands it over, and how far it has come."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from spot_sidecar.base.clock import parse_time, timestamp

__all__ = ["Snapshot", "State"]


class State(StrEnum):
    """How far a snapshot has come; from COMMITTED on nothing changes any more."""

    QUEUED = "queued"
    UPLOADING = "uploading"
    DURABLE = "durable"
    COMMITTED = "committed"
    SUPERSEDED = "superseded"
    """It yielded to a newer one before its upload had begun."""
    FAILED = "failed"
    ABANDONED = "abandoned"
    """This attempt may not commit any more, or its time is over."""

    @property
    def final(self) -> bool:
        """Whether it stays so."""
        return self not in (State.QUEUED, State.UPLOADING, State.DURABLE)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What lies in an arena: sizes in bytes, durations in seconds."""

    id: str
    process: int
    arena: int
    generation: int
    bytes: int
    step: int
    samples: int
    epoch: int
    reason: str
    stall_seconds: float
    taken_at: datetime
    dataset: Mapping[str, Any] | None = None

    @property
    def periodic(self) -> bool:
        """Whether it may be left out without harm."""
        return self.reason == "periodic"

    def to_json(self) -> dict[str, Any]:
        """For the sidecar's own memory."""
        return asdict(self) | {"taken_at": timestamp(self.taken_at)}

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> "Snapshot":
        """Read what `to_json` wrote."""
        return Snapshot(**{**raw, "taken_at": parse_time(raw["taken_at"])})
