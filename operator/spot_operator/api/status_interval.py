"""The interval between checkpoints as the status shows it, with every input."""

from pydantic import Field

from spot_operator.api.model import Model
from spot_operator.api.status_types import Count, Seconds, Word


class IntervalInputs(Model):
    """What the interval depends on, as measured; what is absent was not measured yet."""

    stall_seconds: Seconds | None = Field(
        default=None, description="How long the trainer stands still for a snapshot."
    )
    commit_latency_seconds: Seconds | None = Field(
        default=None, description="From a snapshot to its commit, at full speed."
    )
    commit_overhead_seconds: Seconds | None = Field(
        default=None, description="What of it is not the upload itself."
    )
    state_bytes: Count | None = Field(default=None, description="The size of a snapshot.")
    upload_bytes_per_second: Seconds | None = Field(
        default=None, description="How fast snapshots are uploaded, at full speed."
    )
    slowdown: Seconds | None = Field(
        default=None, description="The share of its speed that the trainer loses meanwhile."
    )
    step_seconds: Seconds | None = Field(default=None, description="How long a step takes.")
    saves: Count | None = Field(default=None, description="How many saves were measured.")
    interruptions_per_hour: Seconds = Field(
        default=0.0, description="How often the job loses its place, cautiously estimated."
    )
    saved_share: Seconds = Field(
        default=0.0,
        description="The share of interruptions that leave time for a last save, likewise.",
    )


class IntervalBounds(Model):
    """Between what the interval is kept, in seconds."""

    optimum: Seconds | None = Field(
        default=None, description="Where saving costs as much as it saves."
    )
    shortest: Seconds | None = Field(
        default=None, description="A step, an upload, or the shortest there is."
    )
    longest: Seconds | None = Field(default=None, description="What maxLostWork leaves.")
    max_lost_work: Seconds | None = Field(
        default=None, description="The work that may be lost, as the attempt was told."
    )


class IntervalInForce(Model):
    """The time between two checkpoints, and what it follows from."""

    seconds: Seconds = Field(description="The interval.")
    why: Word = Field(
        description=(
            "What decided it: Fixed, NotMeasured, Optimum, Longest, Overhead, MaxLostWork, Upload, "
            "Step or Shortest."
        )
    )
    inputs: IntervalInputs = Field(description="What it depends on.")
    bounds: IntervalBounds = Field(description="Between what it is kept.")
