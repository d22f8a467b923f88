"""Where in the data two states stand. Pure.

The end of an epoch and the start of the next are one place with two spellings: a final checkpoint
joins a periodic one of the same step, which was taken before the epoch was over.
"""

from __future__ import annotations

from typing import Any

_EVERYWHERE = ("samples", "fingerprint", "doubt")
"""What a cursor says in the same words on both sides of an epoch's end."""

State = dict[str, Any]


def alike(a: State, b: State) -> tuple[State, State]:
    """Both states, without what two cursors spell differently where they stand at one place."""
    mine, theirs = _cursor(a), _cursor(b)
    if not (_ends_where(mine, theirs) or _ends_where(theirs, mine)):
        return a, b
    return _without_spelling(a), _without_spelling(b)


def _ends_where(one: State, other: State) -> bool:
    """Whether `one` has consumed its epoch, and `other` is about to begin the next."""
    return (
        bool(one.get("batches"))
        and other.get("batches") == 0
        and other.get("epoch") == one.get("epoch", 0) + 1
        and other.get("samples") == one.get("samples")
    )


def _cursor(state: State) -> State:
    position = state.get("position")
    cursor = position.get("cursor") if isinstance(position, dict) else None
    return cursor if isinstance(cursor, dict) else {}


def _without_spelling(state: State) -> State:
    cursor = {name: value for name, value in _cursor(state).items() if name in _EVERYWHERE}
    return {**state, "position": {**state["position"], "cursor": cursor}}
