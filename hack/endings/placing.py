"""What schedulers write, and the API server of pods that none may look at yet."""

from typing import Final

from endings.row import (
    ALL,
    Chapter,
    Row,
)

SAYS: Final = "0/3 nodes are available"
"""The message beside the reason."""
SCHEDULER: Final = "kubernetes pkg/scheduler/schedule_one.go"


def _unplaced(reason: str, source: str, versions: str = ALL) -> Row:
    condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": SAYS}
    return Row(
        f"PodScheduled False, reason `{reason}`",
        source,
        {"phase": "Pending", "conditions": [condition]},
        None,
        begun=False,
        versions=versions,
    )


PLACING: Final = Chapter(
    "No node yet",
    (
        "A pod that has no node waits; condition CapacityAvailable quotes its scheduler, whatever "
        "the reason. Of a pod with scheduling gates it says that no scheduler looks at it yet."
    ),
    (
        _unplaced("Unschedulable", SCHEDULER),
        _unplaced("SchedulerError", f"{SCHEDULER}; a volume that cannot be provisioned"),
        _unplaced("SchedulingGated", "kubernetes pkg/registry/core/pod/strategy.go; Kueue"),
        _unplaced(
            "NotReadyForScheduling",
            "kubernetes pkg/scheduler, KEP-5501: a missing ResourceClaim, a gang that is not whole",
            "1.35 to 1.37",
        ),
        _unplaced("Undetermined", "Volcano pkg/scheduler/cache; a gang that is not whole", "any"),
        _unplaced("AReasonOfTomorrow", "any scheduler", "any"),
    ),
)
