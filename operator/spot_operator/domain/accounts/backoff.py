"""How long to wait before the next attempt.

The level is the number of charged endings since durable progress; an interruption at level 1 waits
nothing. Full jitter, after https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter
: the wait is uniform between 0 and min(max, initial * factor ** (level - 1)).
"""

from datetime import timedelta
from typing import Final

from spot_operator.api.names import Ending
from spot_operator.api.policy import Backoff, Jitter
from spot_operator.domain.observed.context import Context
from spot_operator.domain.observed.elapsed import left_of_long, waiting
from spot_operator.domain.state.ledger import AttemptRecord, Charge, Ledger

AFRESH: Final = frozenset(
    {
        Ending.NOT_PLACED,
        Ending.ADMISSION_REJECTED,
        Ending.REGRANTED,
        Ending.PLATFORM_TROUBLE,
    }
)
"""Uncharged endings that may repeat at once, for ever."""


def wait_after(backoff: Backoff, charged: Charge | None, level: int, draw: float) -> timedelta:
    """The wait after an ending that was `charged` at `level`; `draw` is uniform in [0, 1)."""
    if level <= 0 or (charged is Charge.INTERRUPTION and level == 1):
        return timedelta(0)
    longest = _longest(backoff, level)
    return longest if backoff.jitter is Jitter.NONE else longest * draw


def uncharged_level(attempts: tuple[AttemptRecord, ...], ending: str) -> int:
    """The level of an uncharged `ending`: how many such there were in a row before it."""
    if ending not in AFRESH:
        return 0
    row = 0
    for record in reversed(attempts[:-1]):
        if record.ending not in AFRESH:
            break
        row += 1
    return row


def wait_left(context: Context, ledger: Ledger) -> timedelta:
    """How long the attempt after the newest one still waits; zero or less: it is due."""
    if ledger.not_before is None or ledger.current is None:
        return timedelta(0)
    since = ledger.current.ended_at or ledger.current.created_at
    # Both instants were written at once, by one clock.
    return left_of_long(context.snapshot, waiting(ledger), since, ledger.not_before - since)


def _longest(backoff: Backoff, level: int) -> timedelta:
    # Far beyond the cap the power overflows a float.
    if backoff.factor > 1 and level > 1_000:
        return backoff.max
    try:
        return min(backoff.max, backoff.initial * backoff.factor ** (level - 1))
    except OverflowError:
        return backoff.max
