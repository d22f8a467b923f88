"""What the sidecar is told of when to save: the user's wishes, the hazard, what was measured."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

from pydantic.alias_generators import to_camel

from spot_operator.api.job import CheckpointSpec
from spot_operator.domain.actions import CreatePod
from spot_operator.domain.state.ledger import IntervalInputs

__all__ = ["pacing", "start_interval"]

Json = dict[str, Any]

FIRST_INTERVAL: Final = 300.0
"""Seconds, where the interval is to be found and nothing is known yet; at most half of what may be
lost, for what a save takes is not known either."""
MEASURED: Final = (
    "stall_seconds",
    "commit_latency_seconds",
    "commit_overhead_seconds",
    "state_bytes",
    "upload_bytes_per_second",
    "slowdown",
    "step_seconds",
    "saves",
)
"""What the sidecar itself measured in an earlier attempt."""


def start_interval(checkpoint: CheckpointSpec, action: CreatePod) -> float:
    """Seconds: the fixed interval, or the one to begin with."""
    if isinstance(checkpoint.interval, timedelta):
        return checkpoint.interval.total_seconds()
    known, asked = action.interval, action.max_lost_work
    if known is not None and _measured(known.inputs) is not None:
        return known.seconds
    return FIRST_INTERVAL if asked is None else min(FIRST_INTERVAL, asked.total_seconds() / 2)


def pacing(checkpoint: CheckpointSpec, action: CreatePod) -> Json:
    """How the interval is found; durations in seconds."""
    asked, known = action.max_lost_work, action.interval
    return {
        "adaptive": not isinstance(checkpoint.interval, timedelta),
        "maxLostWork": None if asked is None else asked.total_seconds(),
        "incidents": round(action.hazard.incidents, 6),
        "exposureHours": round(action.hazard.hours, 6),
        "savedShare": round(action.hazard.saved_share, 6),
        "measured": None if known is None else _measured(known.inputs),
    }


def _measured(inputs: IntervalInputs) -> Json | None:
    needed = (inputs.stall_seconds, inputs.commit_latency_seconds, inputs.upload_bytes_per_second)
    if any(one is None for one in needed) or not inputs.upload_bytes_per_second:
        return None
    found = {name: value for name, value in asdict(inputs).items() if name in MEASURED}
    return {to_camel(name): value for name, value in found.items() if value is not None}
