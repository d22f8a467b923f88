"""Which old checkpoints of a job stay: part of its spec."""

from datetime import timedelta
from typing import Final

from pydantic import Field

from spot_operator.api.durations import Duration
from spot_operator.api.model import Model

MIN_KEPT: Final = 3
MAX_KEPT: Final = 1000
MIN_MILESTONE: Final = timedelta(minutes=1)


class Keep(Model):
    """Which old checkpoints stay."""

    newest: int = Field(
        default=MIN_KEPT,
        ge=MIN_KEPT,
        le=MAX_KEPT,
        description=(
            "How many checkpoints that were verified after their upload stay; at least 3, because "
            "the newest may turn out bad. One that is given up is deleted an hour later. A change "
            "takes effect with the next attempt."
        ),
    )
    milestone_every: Duration | None = Field(
        default=None,
        description=(
            'Keeps one checkpoint for good of each span of this length, at least "1m": the first '
            "that was verified in it. Without it none is kept for its age. A change takes effect "
            "with the next attempt; a longer span lets milestones of the shorter one go."
        ),
    )
