"""Which checkpoints may be deleted by hand. Pure."""

from __future__ import annotations

from spot_training.checkpoint.keys import CheckpointId
from spot_training.checkpoint.selection import newest_first
from spot_training.cli.survey import Survey

RECENT = 3600.0
"""Seconds for which an attempt's claim keeps what it resumed from: as long as retention waits."""


def why_kept(found: Survey, checkpoint: str, *, live: bool, claim_age: float | None) -> list[str]:
    """Every reason not to delete it; none means that it may go.

    `live` says that a process holds the
    lineage, `claim_age` is that of the highest attempt's claim in seconds.
    """
    in_use = live or (claim_age is not None and claim_age < RECENT and not found.markers)
    reasons = (
        (checkpoint == found.newest(), "it is the newest valid one: the next attempt begins there"),
        (checkpoint in found.pins, "it is pinned; `unpin` it first"),
        (checkpoint in found.results(), "it is what the job completed with"),
        (checkpoint == _last_verified(found), "it is the newest that was verified"),
        (in_use and checkpoint in _chosen(found), "the attempt that runs now resumed from it"),
        (in_use and _under_way(found, checkpoint), "the attempt that runs now is uploading it"),
    )
    return [reason for applies, reason in reasons if applies]


def _last_verified(found: Survey) -> str | None:
    alive = (set(found.verified) & set(found.manifests)) - set(found.tombstones)
    return next(iter(newest_first(alive)), None)


def _chosen(found: Survey) -> set[str]:
    return {choice.id for choice in found.choices if choice.id is not None}


def _under_way(found: Survey, checkpoint: str) -> bool:
    highest = found.claim.attempt if found.claim else 0
    return checkpoint in found.uploads and CheckpointId.parse(checkpoint).attempt >= highest
