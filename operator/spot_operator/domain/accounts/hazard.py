"""How often a job is interrupted, and how often a last save gets through in time. Pure.

The rate is the posterior mean of a Gamma prior (the Bayes choice where waste is linear in the
rate): prior incidents plus those seen, over prior hours plus those exposed. Stretches without an
interruption count as exposure too, or the rate would come out too high. The share of saved
interruptions is the lower 20 % quantile of a Beta prior: hope must be earned.

What a job knows comes from its own attempts; stretches of other jobs on the same pool would be
given to `hazard` in the same form.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import log
from typing import Final

from spot_operator.api.names import Ending
from spot_operator.domain.accounts.beta import beta_quantile
from spot_operator.domain.state.ledger import AttemptRecord, Ledger, Loss, RankRecord

PRIOR_INCIDENTS: Final = 1.0
PRIOR_HOURS: Final = 24.0
"""One interruption a day, worth a day's observation: within a factor of four for most pools, which
costs a quarter of the checkpoints' own cost at most."""
PRIOR_SAVED: Final = 1.0
PRIOR_LOST: Final = 2.0
CAUTION: Final = 0.2
HALF_LIFE: Final = timedelta(days=5)
"""What happened so long ago counts half: capacity changes."""
SAME_INCIDENT: Final = timedelta(minutes=10)
"""Reclaims come in waves: interruptions so close are one incident."""

TAKEN_AWAY: Final = frozenset(
    {
        Ending.PAUSED,
        Ending.PREEMPTED,
        Ending.NODE_LOST,
        Ending.EVICTED,
        Ending.SCHEDULER_PREEMPTED,
        Ending.ADMISSION_REJECTED,
        Ending.UNKNOWN,
    }
)
"""Endings that say something of the capacity; a person's deletion or a crash says nothing. A pod
that was refused before it ran lost nothing."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Time on spot capacity, and whether it ended with a loss of the place."""

    begun: datetime
    ended: datetime | None
    loss: Loss | None


@dataclass(frozen=True, slots=True)
class Hazard:
    """`incidents` in `hours` make the rate; `saved_share` of them end with a last save."""

    incidents: float = PRIOR_INCIDENTS
    hours: float = PRIOR_HOURS
    saved_share: float = 0.1056


NO_HISTORY: Final = Hazard()
"""What is assumed of a job that nothing is known of."""


def hazard(stretches: Iterable[Stretch], now: datetime) -> Hazard:
    """What these stretches say, the older ones with less weight."""
    known = list(stretches)
    losses = list(_incidents(known))
    saved = sum(_weight(at, now) for at, loss in losses if loss == "Saved")
    lost = sum(_weight(at, now) for at, loss in losses if loss != "Saved")
    return Hazard(
        incidents=PRIOR_INCIDENTS + saved + lost,
        hours=PRIOR_HOURS + sum(_exposure(one, now) for one in known),
        saved_share=beta_quantile(CAUTION, PRIOR_SAVED + saved, PRIOR_LOST + lost),
    )


def history(ledger: Ledger) -> Iterator[Stretch]:
    """The job's own attempts, as far as they are remembered."""
    for one in ledger.attempts:
        if one.running_at is not None:
            yield Stretch(one.running_at, one.ended_at, one.loss)


def loss_of(ledger: Ledger, current: AttemptRecord, ending: str) -> Loss | None:
    """Whether the attempt lost its place, and if so whether its last state was committed."""
    if ending not in TAKEN_AWAY or current.running_at is None:
        return None
    if ending == Ending.PAUSED and not any(_platform_asked(one) for one in ledger.ranks):
        return None
    newest = ledger.checkpoint.newest
    told = any(_told_to_go(one) for one in ledger.ranks)
    mine = newest is not None and newest.ref.attempt == current.number
    if told and mine and newest is not None and newest.ref.step >= (current.step or 0):
        return "Saved"
    return "Lost"


def _platform_asked(rank: RankRecord) -> bool:
    """A pod that a person deleted pauses as well."""
    preempted = rank.notice is not None and rank.notice.kind == "Preempt"
    return preempted or (rank.ended is not None and bool(rank.ended.disruption))


def _told_to_go(rank: RankRecord) -> bool:
    return rank.notice is not None and rank.notice.kind in {"Preempt", "PodDeletion"}


def _incidents(stretches: Iterable[Stretch]) -> Iterator[tuple[datetime, Loss]]:
    """Each incident once, at its start; saved only if every interruption in it was."""
    found = ((one.ended, one.loss) for one in stretches)
    ends = sorted((at, loss) for at, loss in found if at is not None and loss is not None)
    while ends:
        first = ends[0][0]
        together = [loss for at, loss in ends if at - first < SAME_INCIDENT]
        yield first, "Saved" if set(together) == {"Saved"} else "Lost"
        ends = ends[len(together) :]


def _exposure(stretch: Stretch, now: datetime) -> float:
    """Hours of the stretch, each weighted by its age."""
    ended = min(now, stretch.ended or now)
    if ended <= stretch.begun:
        return 0.0
    scale = HALF_LIFE / timedelta(hours=1) / log(2)
    return scale * (_weight(ended, now) - _weight(stretch.begun, now))


def _weight(at: datetime, now: datetime) -> float:
    return float(0.5 ** (max(timedelta(0), now - at) / HALF_LIFE))
