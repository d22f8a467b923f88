"""What a notice is, and which one is in force when several sources speak. Pure.

One shape everywhere: the pod annotation, notice.json, the socket's answers and the reports.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from spot_sidecar.base.clock import parse_time, timestamp

__all__ = ["Kind", "Notice", "combine", "read_notice"]

RAW_LIMIT = 512
"""Characters of evidence kept: notices travel in reports and status."""


class Kind(IntEnum):
    """What is announced; a higher one outranks a lower one."""

    Rebalance = 1
    """The provider sees a raised risk: checkpoint soon."""
    Maintenance = 2
    """The node will be worked on, perhaps in an hour."""
    PodDeletion = 3
    """This pod is being deleted: certain."""
    Preempt = 4
    """The node is being taken away: certain."""

    @property
    def certain(self) -> bool:
        """The attempt ends by it: save and stop."""
        return self >= Kind.PodDeletion


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning, with the moment after which nothing is safe (none: not known)."""

    kind: Kind
    source: str
    observed_at: datetime
    deadline: datetime | None = None
    raw: str = ""

    def moved(self, by: timedelta) -> "Notice":
        """The notice on a clock that is ahead by that much."""
        deadline = None if self.deadline is None else self.deadline + by
        return replace(self, observed_at=self.observed_at + by, deadline=deadline)

    def to_json(self) -> dict[str, Any]:
        """The wire form."""
        return {
            "kind": self.kind.name,
            "deadline": timestamp(self.deadline) if self.deadline else None,
            "source": self.source,
            "observedAt": timestamp(self.observed_at),
            "raw": self.raw[:RAW_LIMIT],
        }


def read_notice(raw: object) -> Notice:
    """Read the wire form.

    Raises:
        ValueError: it is not a notice; the message says which field is wrong.
    """
    if not isinstance(raw, dict):
        raise ValueError("a notice is a JSON object")  # noqa: TRY004 - wrong data, not a wrong call
    kind = str(raw.get("kind"))
    if kind not in Kind.__members__:
        raise ValueError(f"kind {kind!r} is not one of {', '.join(Kind.__members__)}")
    deadline = raw.get("deadline")
    return Notice(
        kind=Kind[kind],
        source=str(raw.get("source") or "unknown"),
        observed_at=parse_time(str(raw.get("observedAt"))),
        deadline=parse_time(str(deadline)) if deadline else None,
        raw=str(raw.get("raw") or ""),
    )


def combine(in_force: Notice | None, heard: Notice) -> Notice:
    """The notice in force after `heard`.

    The highest kind names it; the earliest deadline of all binds it and is never extended, so that
    a source whose deadline slides with every question changes nothing.
    """
    if in_force is None:
        return heard
    leading = heard if heard.kind > in_force.kind else in_force
    deadlines = [notice.deadline for notice in (in_force, heard) if notice.deadline]
    return replace(leading, deadline=min(deadlines, default=None))
