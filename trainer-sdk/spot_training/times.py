"""Times on the wire: RFC 3339 in UTC with a `Z`."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """`moment` (aware) as UTC with microseconds: the spelling of every document of this package."""
    if moment.tzinfo is None:
        raise ValueError("a time without its zone cannot be written: pass an aware datetime")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_rfc3339(text: str) -> datetime:
    """An aware UTC datetime; raises ValueError for a time without a zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(
            f"{text!r} has no zone; expected RFC 3339 in UTC, for example ...T12:00:00Z"
        )
    return moment.astimezone(UTC)


def utc_now() -> datetime:
    """The wall clock; passed in wherever a decision depends on it."""
    return datetime.now(UTC)
