"""Times as JSON carries them: RFC 3339 in UTC with `Z`, microseconds only where there are any."""

from datetime import UTC, datetime
from typing import Final

EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)


def timestamp(at: datetime) -> str:
    """Write an aware time."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def clipped(at: datetime) -> datetime:
    """An aware time that others wrote, as near to it as can be reckoned with."""
    return min(max(at, EARLIEST), LATEST)
