"""Texts in status are bounded: an object of the API has room for little."""

import re
from typing import Final

CONDITION_MESSAGE: Final = 1024
"""Bytes of a condition's message."""
STATUS_MESSAGE: Final = 400
"""Bytes of any other message in status, of which there are many."""
WORD: Final = 64
"""Bytes of a word of a vocabulary: a reason, a cause, a source."""
LAST_LINES: Final = 480
"""Bytes of what a failed trainer wrote last."""
LINES_KEPT: Final = 12
"""Lines of it."""
ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
"""What terminals understand and people do not (ECMA-48)."""


def shorten(text: str, limit: int) -> str:
    """`text` as one line of at most `limit` bytes of UTF-8; an ellipsis shows the cut."""
    # Lone surrogates and control characters have no place in a status.
    line = "".join(one if one.isprintable() else " " for one in text)
    line = " ".join(line.encode("utf-8", "ignore").decode().split())
    if len(line.encode()) <= limit:
        return line
    return line.encode()[: limit - 3].decode("utf-8", "ignore") + "…"


def last_lines(text: str, limit: int = LAST_LINES) -> str:
    """The end of what a program wrote, as a person reads it: at most `limit` bytes of whole lines.

    Colours and control characters are gone, and of a progress bar its last state is left. A line
    that is too long by itself loses its start.
    """
    plain = ESCAPES.sub("", text.encode("utf-8", "ignore").decode())
    lines = [printable(line.rstrip("\r").rpartition("\r")[2]) for line in plain.split("\n")]
    kept: list[str] = []
    room = limit
    for line in reversed([one for one in lines if one]):
        size = len(line.encode()) + (1 if kept else 0)
        if size > room or len(kept) >= LINES_KEPT:
            break
        kept.insert(0, line)
        room -= size
    if kept:
        return "\n".join(kept)
    return _end_of(next((one for one in reversed(lines) if one), ""), limit)


def printable(line: str) -> str:
    """`line` with a space for each character that would steer a terminal, or break the line."""
    shown = "".join(one if one.isprintable() else " " for one in line.expandtabs(4))
    return shown.rstrip()


def _end_of(line: str, limit: int) -> str:
    if len(line.encode()) <= limit:
        return line
    return "…" + line.encode()[3 - limit :].decode("utf-8", "ignore")
