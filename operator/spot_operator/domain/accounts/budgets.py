"""What an ending costs, and whether the job can pay for another attempt.

Interruptions and failures have budgets of their own. A budget of n pays for n further attempts:
the ending that finds it spent is the last. It is charged in the write that records the ending, so
that a crash gives neither a free restart nor takes one away.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from spot_operator.api.names import Ending, Reason
from spot_operator.api.policy import MAX_INTERRUPTIONS, MAX_WINDOW, PolicySpec
from spot_operator.domain.state.ledger import Budgets, Charge

INTERRUPTIONS: Final = frozenset(
    {
        Ending.PAUSED,
        Ending.PREEMPTED,
        Ending.NODE_LOST,
        Ending.DELETED,
        Ending.EVICTED,
        Ending.SCHEDULER_PREEMPTED,
        Ending.RESURRECTED,
        Ending.BAD_NODE,
        Ending.UNKNOWN,
    }
)
FAILURES: Final = frozenset(
    {
        Ending.OUT_OF_MEMORY,
        Ending.OUT_OF_STORAGE,
        Ending.STALLED,
        Ending.START_FAILED,
        Ending.TRAINER_FAILED,
    }
)
UNCHARGED: Final = frozenset(
    {
        Ending.SUSPENDED,
        Ending.NOT_PLACED,
        Ending.ADMISSION_REJECTED,
        Ending.REGRANTED,
        Ending.PLATFORM_TROUBLE,
    }
)
FINAL: Final = frozenset(
    {
        Ending.COMPLETED,
        Ending.NO_VALID_CHECKPOINT,
        Ending.TRAINER_REFUSED,
        Reason.NO_PROGRESS,
        Reason.CHECKPOINTS_SUSPECT,
    }
)
CLOCKS_DIFFER: Final = timedelta(minutes=1)
"""By so much the clocks of two leaders may differ and be called the same."""


@dataclass(frozen=True, slots=True)
class Bill:
    """What an ending did to the budgets."""

    budgets: Budgets
    charged: Charge | None
    spent: Reason | None = None
    """Which budget had nothing left to pay with: the job is over."""


def charge(budgets: Budgets, policy: PolicySpec, ending: Ending | Reason, now: datetime) -> Bill:
    """Charge `ending` at `now`; a final or uncharged one costs nothing."""
    if ending in INTERRUPTIONS:
        return _interruption(budgets, policy, now)
    if ending in FAILURES:
        return _failure(budgets, policy)
    return Bill(budgets, None)


def interruptions_used(budgets: Budgets, policy: PolicySpec, now: datetime) -> int:
    """How many interruptions count at `now`: those of the window, or of the job's life.

    None where one is yet to come: another leader's clock differs from ours, and none can tell which
    lie in the window. They are charged all the same.
    """
    window = policy.interruptions.window
    if window is None:
        return budgets.interruptions
    if any(at - now > CLOCKS_DIFFER for at in budgets.interruption_times):
        return 0
    return sum(now - at < window for at in budgets.interruption_times)


def _interruption(budgets: Budgets, policy: PolicySpec, now: datetime) -> Bill:
    if interruptions_used(budgets, policy, now) >= policy.interruptions.max:
        return Bill(budgets, None, Reason.INTERRUPTIONS_EXHAUSTED)
    times = (*budgets.interruption_times, now.replace(microsecond=0))
    charged = replace(
        budgets,
        interruptions=budgets.interruptions + 1,
        interruption_times=_recent(times, now),
    )
    return Bill(_without_progress(charged, policy), Charge.INTERRUPTION)


def _failure(budgets: Budgets, policy: PolicySpec) -> Bill:
    if budgets.failures >= policy.failures.max:
        return Bill(budgets, None, Reason.FAILURES_EXHAUSTED)
    charged = replace(budgets, failures=budgets.failures + 1)
    return Bill(_without_progress(charged, policy), Charge.FAILURE)


def _without_progress(budgets: Budgets, policy: PolicySpec) -> Budgets:
    """One more; the limit is that of this ending, whatever the policy says when it is judged."""
    count, limit = budgets.without_progress + 1, policy.max_attempts_without_progress
    beyond = limit if count > limit else None
    return replace(budgets, without_progress=count, progress_limit=beyond)


def _recent(times: tuple[datetime, ...], now: datetime) -> tuple[datetime, ...]:
    """Kept even without a window, for a policy may be given one; no window is longer."""
    return tuple(at for at in times if now - at < MAX_WINDOW)[-MAX_INTERRUPTIONS:]
