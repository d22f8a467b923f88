"""Which of two notices stands: the more severe kind, then the earlier deadline; never extended."""

from datetime import datetime, timedelta
from typing import Final

from spot_operator.domain.state.ledger import Notice

GRAVITY: Final = {"Rebalance": 0, "Maintenance": 1, "PodDeletion": 2, "Preempt": 3}
AFTERMATH: Final = timedelta(seconds=60)
"""How long past its deadline a notice still explains an ending."""
SLACK: Final = timedelta(seconds=10)
"""How far a node's clock and another machine's may differ and count as the same."""
SHORTEST: Final = timedelta(seconds=120)
"""How long a notice explains whose deadline had passed when it was given: two clocks differ."""
OPEN_ENDED: Final = timedelta(minutes=10)
"""How long a notice without deadline explains one: autoscalers drain for at most ten minutes."""


def more_severe(first: Notice | None, second: Notice | None) -> Notice | None:
    """The one of the two that stands; `first` when they weigh the same."""
    if first is None or second is None:
        return first or second
    return second if _weight(second) > _weight(first) else first


def explains(notice: Notice | None, seen_at: datetime, finished_at: datetime | None = None) -> bool:
    """Whether an ending lies between a Preempt notice and its deadline + 60 s, by either clock.

    `seen_at` is ours, and late where we were away. `finished_at` is that of the node, by which its
    sidecar dates notices: a clock that is wrong by hours is wrong for both.
    """
    if notice is None or notice.kind != "Preempt":
        return False
    began, until = notice.observed_at - SLACK, notice.observed_at + _length(notice)
    return any(began <= at <= until + AFTERMATH for at in (seen_at, finished_at) if at is not None)


def covers(notice: Notice | None, known_for: timedelta) -> bool:
    """The same where another clock dated the notice: this leader has known of it for so long."""
    if notice is None or notice.kind != "Preempt":
        return False
    return known_for <= _length(notice) + AFTERMATH


def _length(notice: Notice) -> timedelta:
    if notice.deadline is None:
        return OPEN_ENDED
    # The deadline is the cloud's, and the clock that dated the notice may be ahead of it.
    length = notice.deadline - notice.observed_at
    return length if length >= timedelta(0) else SHORTEST


def _weight(notice: Notice) -> tuple[int, bool, float]:
    deadline = notice.deadline
    return (
        GRAVITY[notice.kind],
        deadline is not None,
        -deadline.timestamp() if deadline is not None else 0.0,
    )
