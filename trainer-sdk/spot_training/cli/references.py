"""How a person names a checkpoint: `newest`, `a3-s400`, or the whole id. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from spot_training.checkpoint.keys import CheckpointId
from spot_training.cli.codes import Refusal, wrong_usage

NEWEST = "newest"
_SHORT = re.compile(r"a0*(\d{1,8})-s0*(\d{1,12})(?:-([0-9a-f]{8}))?")


def short(checkpoint: str) -> str:
    """`a3-s400`: attempt and step name a checkpoint within its lineage."""
    parsed = CheckpointId.parse(checkpoint)
    return f"a{parsed.attempt}-s{parsed.step}"


def resolve(reference: str, known: Sequence[str], newest: str | None) -> str:
    """The id meant by `reference` among the `known`; `newest` is the newest valid one."""
    if reference == NEWEST:
        if newest is None:
            raise Refusal("no checkpoint here is valid; `spot-training checkpoints ls` shows all")
        return newest
    match = _SHORT.fullmatch(reference)
    if match is None:
        raise wrong_usage(
            f"{reference!r} names no checkpoint; give newest, a short name such as a3-s400, or a "
            "whole id, as `spot-training checkpoints ls -o wide` shows them"
        )
    return _only(reference, match, known)


def _only(reference: str, match: re.Match[str], known: Sequence[str]) -> str:
    attempt, step, nonce = int(match[1]), int(match[2]), match[3]
    found = []
    for candidate in known:
        parsed = CheckpointId.parse(candidate)
        if (parsed.attempt, parsed.step) == (attempt, step) and nonce in (None, parsed.nonce):
            found.append(candidate)
    if not found:
        raise Refusal(
            f"there is no checkpoint {reference} here; `spot-training checkpoints ls` shows all"
        )
    if len(found) > 1:
        raise Refusal(f"{reference} is ambiguous: {', '.join(found)}; give the whole id")
    return found[0]
