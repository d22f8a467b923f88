"""What state a checkpoint is in, in one word and its flags. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from spot_training.checkpoint.keys import CheckpointId
from spot_training.checkpoint.manifest import Manifest
from spot_training.checkpoint.retention import Keep, Reason, why_kept
from spot_training.cli.survey import Survey

DEFAULT = Keep()
MEANINGS = """\
states:
  verified     somebody looked at it again since (V1 and V2), or read it (V3)
  committed    its manifest stands and reads; nobody has verified it since
  damaged      its manifest is not whole; see `show`
  unsupported  it needs a library, or a newer version; see `show`
  suspect      attempts that resumed from it failed (jobs only)
  expired      given up by retention; deleted an hour after that
  quarantined  proved bad; never chosen again
  incomplete   data without a manifest: an upload under way, or one cut off
flags:
  pinned       kept, whatever retention would do
  result       what the job completed with
kept, because it is:
  pinned       by a person, or as a suspect
  suspect      people will want to look at it
  result       what the job completed with
  newest       of all that are not quarantined
  last         the newest that was verified
  origin       the running attempt began there; none of its own is verified
  verified     one of the newest that were verified, as many as the job keeps
  unproved     not verified, and too few newer ones are
  milestone    the first that was verified in its span of time
  evidence     quarantined, and no newer one is verified"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One checkpoint, as every command shows it."""

    id: str
    state: str
    flags: tuple[str, ...]
    manifest: Manifest | None
    kept: str = ""
    """Why retention keeps it; empty: it does not."""

    @property
    def words(self) -> str:
        """State and flags, as one cell."""
        return ",".join((self.state, *self.flags))

    def to_json(self) -> dict[str, Any]:
        """Stable names for scripts; null for what cannot be known without a manifest."""
        parsed, known = CheckpointId.parse(self.id), self.manifest
        return {
            "id": self.id,
            "state": self.state,
            "pinned": "pinned" in self.flags,
            "result": "result" in self.flags,
            "attempt": parsed.attempt,
            "step": parsed.step,
            "samples": known.samples if known else None,
            "epoch": known.epoch if known else None,
            "committedAt": known.committed_at if known else None,
            "bytes": known.cost.bytes if known else None,
            "reason": known.reason if known else None,
            "parent": known.parent if known else None,
            **({"parentLineage": known.parent_lineage} if known and known.parent_lineage else {}),
            "ranks": known.ranks if known else None,
            "kept": self.kept or None,
        }


def rows(found: Survey, suspects: Collection[str] = (), keep: Keep = DEFAULT) -> list[Row]:
    """Every checkpoint, newest first; `keep` is what the job asks for."""
    kept = why_kept(found.retention(suspects), keep)
    return [_row(found, checkpoint, suspects, kept) for checkpoint in found.ids()]


def row(
    found: Survey, checkpoint: str, suspects: Collection[str] = (), keep: Keep = DEFAULT
) -> Row:
    """One checkpoint."""
    return _row(found, checkpoint, suspects, why_kept(found.retention(suspects), keep))


def _row(
    found: Survey, checkpoint: str, suspects: Collection[str], kept: Mapping[str, Reason]
) -> Row:
    flags = [
        *(["pinned"] if checkpoint in found.pins else []),
        *(["result"] if checkpoint in found.results() else []),
    ]
    return Row(
        id=checkpoint,
        state=_state(found, checkpoint, suspects),
        flags=tuple(flags),
        manifest=found.manifests.get(checkpoint),
        kept=str(kept.get(checkpoint, "")),
    )


def _state(found: Survey, checkpoint: str, suspects: Collection[str]) -> str:
    states = (
        ("quarantined", found.tombstones),
        ("incomplete", found.uploads),
        ("damaged", found.unreadable),
        ("unsupported", found.unsupported),
        ("expired", found.expired),
        ("suspect", suspects),
        ("verified", found.verified),
    )
    return next((name for name, members in states if checkpoint in members), "committed")
