"""Texts in status are bounded: an object of the API has room for little."""

from typing import Final

CONDITION_MESSAGE: Final = 1024
"""Bytes of a condition's message."""
STATUS_MESSAGE: Final = 400
"""Bytes of any other message in status, of which there are many."""
WORD: Final = 64
"""Bytes of a word of a vocabulary: a reason, a cause, a source."""


def shorten(text: str, limit: int) -> str:
    """`text` as one line of at most `limit` bytes of UTF-8; an ellipsis shows the cut."""
    # Lone surrogates and control characters have no place in a status.
    line = "".join(one if one.isprintable() else " " for one in text)
    line = " ".join(line.encode("utf-8", "ignore").decode().split())
    if len(line.encode()) <= limit:
        return line
    return line.encode()[: limit - 3].decode("utf-8", "ignore") + "…"
