"""This pod's share of a checkpoint: one object per process, then one receipt. Pure."""

import platform
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import spot_training
from spot_training.checkpoint.manifest import Receipt, StoredObject

from spot_sidecar.clock import timestamp
from spot_sidecar.config import Config
from spot_sidecar.snapshots.snapshot import Snapshot

__all__ = ["Share", "build_receipt"]


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


def build_receipt(share: Share, config: Config, *, parent: str | None, now: str) -> Receipt:
    """The receipt for a complete share."""
    snapshots = [share.snapshots[process] for process in sorted(share.snapshots)]
    first = snapshots[0]
    return Receipt(
        id=share.checkpoint,
        attempt=config.attempt,
        step=first.step,
        rank=config.rank,
        ranks=config.ranks,
        samples=first.samples,
        epoch=first.epoch,
        reason=first.reason,
        job_uid=config.job.uid,
        parent=parent,
        snapshot_at=timestamp(max(one.taken_at for one in snapshots)),
        created_at=now,
        stall_seconds=max(one.stall_seconds for one in snapshots),
        upload_seconds=round(share.upload_seconds, 6),
        objects=tuple(share.objects[process] for process in sorted(share.objects)),
        versions={
            "spotTraining": spot_training.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        dataset=dict(first.dataset) if first.dataset else None,
    )
