"""What the scheduler writes."""

from typing import Final

from endings.row import (
    Chapter,
    Row,
)

PLACING: Final = Chapter(
    "No node yet",
    "A pod that no node takes waits; condition CapacityAvailable quotes the scheduler.",
    tuple(
        Row(
            f"PodScheduled False, reason `{reason}`",
            "kubernetes pkg/scheduler/schedule_one.go",
            {
                "phase": "Pending",
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": reason,
                        "message": "0/3 nodes are available",
                    }
                ],
            },
            None,
            begun=False,
        )
        for reason in ("Unschedulable", "SchedulerError", "SchedulingGated")
    ),
)
