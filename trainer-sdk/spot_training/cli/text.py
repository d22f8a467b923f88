"""Words and tables for a terminal. Pure.

Columns are aligned here, with `str.ljust`: a table library would be the core's second dependency
for fifteen lines, and wrap or cut what scripts read.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import datetime

_GAP = "  "
_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: str = "") -> list[str]:
    """Aligned lines, the header first; columns named in `right` (space separated) end flush."""
    flush = {index for index, name in enumerate(header) if name in right.split()}
    lines = [header, *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(header))]
    return [_line(line, widths, flush) for line in lines]


def size(count: int) -> str:
    """Bytes as a person says them: 512 B, 12.3 KiB, 1.0 GiB."""
    if count < 1024:
        return f"{count} B"
    value = float(count)
    for unit in _UNITS:
        value /= 1024
        if value < 1023.95 or unit == _UNITS[-1]:
            break
    return f"{value:.1f} {unit}"


def duration(seconds: float) -> str:
    """0.4s, 12s, 3m, 5h, 12d: one unit, as kubectl does, two where one would be coarse."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f}s".replace(".0s", "s")
    whole = int(seconds)
    if whole < 600:
        return f"{whole}s" if whole < 120 else _two(whole, 60, "m", "s")
    if whole < 8 * 3600:
        return f"{whole // 60}m" if whole < 3 * 3600 else _two(whole // 60, 60, "h", "m")
    return f"{whole // 3600}h" if whole < 48 * 3600 else f"{whole // 86400}d"


def age(since: datetime, now: datetime) -> str:
    """How long ago; a clock that is behind the writer's shows 0s."""
    return duration(max(0, int((now - since).total_seconds())))


def count(number: int, noun: str) -> str:
    """1 tensor, 2 tensors."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def pairs(items: Sequence[tuple[str, str]], *, indent: str = "  ") -> list[str]:
    """`name   value` lines, the values aligned; items without a value are left out."""
    shown = [(name, value) for name, value in items if value]
    width = max((len(name) for name, _ in shown), default=0)
    return [f"{indent}{name.ljust(width)}  {value}" for name, value in shown]


def reflow(text: str, width: int) -> str:
    """Paragraphs filled to `width`; one with an indented line (a list, an example) stays."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(
        paragraph
        if "\n " in f"\n{paragraph}"
        else textwrap.fill(paragraph, width, break_on_hyphens=False)
        for paragraph in paragraphs
    )


def _two(value: int, base: int, large: str, small: str) -> str:
    rest = value % base
    return f"{value // base}{large}{rest}{small}" if rest else f"{value // base}{large}"


def _line(cells: Sequence[str], widths: Sequence[int], flush: set[int]) -> str:
    fitted = (
        cell.rjust(width) if index in flush else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return _GAP.join(fitted).rstrip()
