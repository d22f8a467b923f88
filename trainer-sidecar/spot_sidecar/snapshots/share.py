"""This pod's share of a checkpoint: one object per process, then one receipt. Pure."""

import platform
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import spot_training
from spot_training.checkpoint.commit import least_exact
from spot_training.checkpoint.manifest import Receipt, StoredObject

from spot_sidecar.base.clock import timestamp
from spot_sidecar.config.spot_config import Config
from spot_sidecar.snapshots.snapshot import Snapshot
from spot_sidecar.state.attempt_state import Origin

__all__ = ["Share", "Taken", "build_receipt", "receipt_of"]


@dataclass(slots=True)
class Share:
    """What of a checkpoint is durable so far, by process; `upload_seconds` of the slowest."""

    checkpoint: str
    snapshots: dict[int, Snapshot] = field(default_factory=dict)
    objects: dict[int, StoredObject] = field(default_factory=dict)
    upload_seconds: float = 0.0

    def add(self, snapshot: Snapshot, item: StoredObject, seconds: float) -> None:
        """A process's object is durable."""
        self.snapshots[snapshot.process] = snapshot
        self.objects[snapshot.process] = item
        self.upload_seconds = max(self.upload_seconds, seconds)

    def complete(self, expected: Collection[int]) -> bool:
        """Whether every expected process's object is there."""
        return set(expected) <= set(self.objects)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a receipt says of a pod's share, wherever it came from. Durations are seconds."""

    checkpoint: str
    step: int
    reason: str
    taken_at: datetime
    upload_seconds: float
    objects: tuple[StoredObject, ...]
    samples: int = 0
    epoch: int = 0
    stall_seconds: float = 0.0
    dataset: dict[str, Any] | None = None


def build_receipt(share: Share, config: Config, *, parent: Origin | None, now: str) -> Receipt:
    """The receipt for a complete share."""
    snapshots = [share.snapshots[process] for process in sorted(share.snapshots)]
    first = snapshots[0]
    taken = Taken(
        checkpoint=share.checkpoint,
        step=first.step,
        samples=first.samples,
        epoch=first.epoch,
        reason=first.reason,
        taken_at=max(one.taken_at for one in snapshots),
        stall_seconds=max(one.stall_seconds for one in snapshots),
        upload_seconds=share.upload_seconds,
        objects=tuple(share.objects[process] for process in sorted(share.objects)),
        dataset=least_exact(one.dataset for one in snapshots),
    )
    return receipt_of(taken, config, parent=parent, now=now)


def receipt_of(taken: Taken, config: Config, *, parent: Origin | None, now: str) -> Receipt:
    """The receipt of this pod for what was taken."""
    return Receipt(
        id=taken.checkpoint,
        attempt=config.attempt,
        step=taken.step,
        rank=config.rank,
        ranks=config.ranks,
        samples=taken.samples,
        epoch=taken.epoch,
        reason=taken.reason,
        job_uid=config.job.uid,
        parent=parent.id if parent else None,
        parent_lineage=parent.lineage if parent else None,
        snapshot_at=timestamp(taken.taken_at),
        created_at=now,
        stall_seconds=taken.stall_seconds,
        upload_seconds=round(taken.upload_seconds, 6),
        objects=taken.objects,
        versions={
            "spotTraining": spot_training.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        dataset=taken.dataset,
    )
