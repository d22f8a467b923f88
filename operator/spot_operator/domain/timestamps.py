"""Times as JSON carries them: RFC 3339 in UTC with `Z`, microseconds only where there are any."""

from datetime import UTC, datetime
from typing import Final

EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)


def timestamp(at: datetime) -> str:
    """Write an aware time."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def read_timestamp(text: str) -> datetime:
    """Read a time with its zone. Raises ValueError for anything else."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: write it as 2026-01-31T12:00:00Z")
    return at.astimezone(UTC)


def clipped(at: datetime) -> datetime:
    """An aware time that others wrote, as near to it as can be reckoned with."""
    return min(max(at, EARLIEST), LATEST)
