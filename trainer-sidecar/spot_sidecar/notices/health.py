"""Whether a source of notices answers."""

from dataclasses import dataclass

__all__ = ["Health"]


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a source answers, and what it said when it did not."""

    healthy: bool
    detail: str = ""
