"""Figures of reports: what was measured, and the limit that it is held to, if any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a report; `limit` is what it is held to (None: told, not held)."""

    figure: str
    value: float
    unit: str
    limit: str | None = None
    holds: bool | None = None


def at_least(name: str, value: float, unit: str, least: float) -> Figure:
    """A figure with a lower limit."""
    return Figure(name, value, unit, f">= {least:g}", value >= least)


def at_most(name: str, value: float, unit: str, most: float) -> Figure:
    """A figure with an upper limit."""
    return Figure(name, value, unit, f"<= {most:g}", value <= most)


def exactly(name: str, value: float, unit: str, wanted: float) -> Figure:
    """A figure that may have one value only."""
    return Figure(name, value, unit, f"= {wanted:g}", value == wanted)


def table(figures: Iterable[Figure]) -> list[str]:
    """The lines of a Markdown table."""
    return [
        "| figure | value | limit | holds |",
        "|---|---|---|---|",
        *(
            f"| {one.figure} | {one.value:g} {one.unit} | {one.limit or ''} | "
            f"{'' if one.holds is None else 'yes' if one.holds else '**no**'} |"
            for one in figures
        ),
    ]


def spoken(figures: Iterable[Figure]) -> Iterator[str]:
    """One line for a terminal each."""
    held: Mapping[bool | None, str] = {None: "", True: "holds", False: "DOES NOT HOLD"}
    for one in figures:
        words = f"{one.figure}: {one.value:g} {one.unit} {one.limit or ''} {held[one.holds]}"
        yield words.rstrip()
