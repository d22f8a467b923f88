"""JSON that others may have written: annotations, termination messages."""

import json
from typing import Any


def read_object(text: str | None) -> dict[str, Any]:
    """The object in `text`; an empty one where there is none, whatever else stands there.

    Texts in it can be stored: a lone surrogate, as Python makes one of a file name in another
    encoding, is a question mark.
    """
    try:
        body = json.loads(text) if text else None
        stored = json.dumps(body, ensure_ascii=False)
        if not stored.isascii():
            body = json.loads(stored.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        # Python gives up on brackets nested a thousand deep.
        return {}
    return body if isinstance(body, dict) else {}
