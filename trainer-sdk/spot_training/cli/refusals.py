"""Which checkpoints may be deleted by hand: what retention never deletes, and uploads. Pure."""

from __future__ import annotations

from spot_training.checkpoint.keys import CheckpointId
from spot_training.checkpoint.retention import Reason, needed
from spot_training.cli.survey import Survey

RECENT = 3600.0
"""Seconds for which an attempt's claim keeps what it resumed from: as long as retention waits."""

WHY = {
    Reason.NEWEST: "it is the newest valid one: the next attempt begins there",
    Reason.PINNED: "it is pinned; `unpin` it first",
    Reason.RESULT: "it is what the job completed with",
    Reason.LAST: "it is the newest that was verified",
    Reason.ORIGIN: "the attempt that runs now resumed from it, and has verified none of its own",
}


def why_refused(
    found: Survey, checkpoint: str, *, live: bool, claim_age: float | None
) -> list[str]:
    """Every reason not to delete it; none means that it may go.

    `live` says that a process holds the
    lineage, `claim_age` is that of the highest attempt's claim in seconds.
    """
    in_use = live or (claim_age is not None and claim_age < RECENT and not found.markers)
    kept = needed(found.retention(in_use=in_use))
    reasons = [WHY[reason] for reason, members in kept if checkpoint in members]
    if in_use and _under_way(found, checkpoint):
        reasons.append("the attempt that runs now is uploading it")
    return reasons


def _under_way(found: Survey, checkpoint: str) -> bool:
    highest = found.claim.attempt if found.claim else 0
    return checkpoint in found.uploads and CheckpointId.parse(checkpoint).attempt >= highest
