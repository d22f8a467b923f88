"""Which of two notices stands: the graver kind, then the earlier deadline; never extended."""

from datetime import datetime, timedelta
from typing import Final

from spot_operator.domain.ledger import Notice

GRAVITY: Final = {"Rebalance": 0, "Maintenance": 1, "PodDeletion": 2, "Preempt": 3}
AFTERMATH: Final = timedelta(seconds=60)
"""How long past its deadline a notice still explains an ending."""
OPEN_ENDED: Final = timedelta(minutes=10)
"""How long a notice without deadline explains one: autoscalers drain for at most ten minutes."""


def graver(first: Notice | None, second: Notice | None) -> Notice | None:
    """The one of the two that stands; `first` when they weigh the same."""
    if first is None or second is None:
        return first or second
    return second if _weight(second) > _weight(first) else first


def explains(notice: Notice | None, ended_at: datetime) -> bool:
    """Whether an ending at `ended_at` lies between a Preempt notice and its deadline + 60 s."""
    if notice is None or notice.kind != "Preempt":
        return False
    # The two instants come from two machines' clocks: allow them to differ a little.
    began = notice.observed_at - timedelta(seconds=10)
    until = notice.deadline or notice.observed_at + OPEN_ENDED
    return began <= ended_at <= until + AFTERMATH


def _weight(notice: Notice) -> tuple[int, bool, float]:
    deadline = notice.deadline
    return (
        GRAVITY[notice.kind],
        deadline is not None,
        -deadline.timestamp() if deadline is not None else 0.0,
    )
