"""The hazard of a job from its own attempts: incidents, exposure, and what was saved in time."""

from dataclasses import replace
from datetime import timedelta
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.builders import NOW, a_notice, after
from spot_operator.api.names import Ending
from spot_operator.domain.accounts.beta import beta_quantile, beta_share
from spot_operator.domain.accounts.hazard import (
    HALF_LIFE,
    NO_HISTORY,
    PRIOR_HOURS,
    PRIOR_INCIDENTS,
    Stretch,
    hazard,
    history,
    loss_of,
)
from spot_operator.domain.state.ledger import (
    AttemptRecord,
    Checkpoints,
    CommitRef,
    Committed,
    Ledger,
    Loss,
    Notice,
    RankEnd,
    RankRecord,
)


def hours_ago(hours: float) -> timedelta:
    return timedelta(hours=hours)


def stretch(begun: float, ended: float | None, loss: Loss | None = None) -> Stretch:
    """Hours before NOW."""
    over = None if ended is None else NOW - hours_ago(ended)
    return Stretch(NOW - hours_ago(begun), over, loss)


@given(st.floats(0.01, 0.99), st.integers(1, 30), st.integers(1, 30))
def test_shares_of_the_beta_distribution(x: float, a: int, b: int) -> None:
    """For whole numbers it is a sum of binomial terms."""
    n = a + b - 1
    expected = sum(comb(n, j) * x**j * (1 - x) ** (n - j) for j in range(a, n + 1))
    assert beta_share(x, a, b) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(st.floats(0.01, 0.99), st.floats(1.0, 2e3), st.floats(1.0, 2e3))
def test_a_quantile_is_a_quantile(share: float, a: float, b: float) -> None:
    assert beta_share(beta_quantile(share, a, b), a, b) == pytest.approx(share, abs=1e-6)


def test_edges_of_the_beta_distribution() -> None:
    assert (beta_share(0.0, 2, 3), beta_share(1.0, 2, 3)) == (0.0, 1.0)


def test_without_history_the_prior_stands() -> None:
    found = hazard((), NOW)
    assert found.incidents / found.hours == pytest.approx(1 / 24)
    assert found.saved_share == pytest.approx(1 - 0.8**0.5)
    assert found.saved_share == pytest.approx(NO_HISTORY.saved_share, abs=1e-4)


def test_hours_without_an_interruption_count() -> None:
    """The attempt that still runs too: else only short ones would be seen."""
    found = hazard([stretch(10.0, None)], NOW)
    assert found.incidents == PRIOR_INCIDENTS
    assert found.hours - PRIOR_HOURS == pytest.approx(10.0, rel=0.03)


def test_interruptions_of_one_wave_are_one_incident() -> None:
    wave = [stretch(5.0, 1.0, "Saved"), stretch(0.99, 0.95, "Lost"), stretch(0.94, 0.9, "Saved")]
    apart = [stretch(5.0, 3.0, "Saved"), stretch(3.0, 2.0, "Lost"), stretch(2.0, 1.0, "Saved")]
    assert hazard(wave, NOW).incidents - PRIOR_INCIDENTS == pytest.approx(1.0, rel=0.03)
    assert hazard(apart, NOW).incidents - PRIOR_INCIDENTS == pytest.approx(3.0, rel=0.03)
    assert hazard(wave, NOW).saved_share < hazard(apart, NOW).saved_share


def test_old_things_count_for_less() -> None:
    old = HALF_LIFE / timedelta(hours=1)
    found = hazard([stretch(old + 1, old, "Lost")], NOW)
    assert found.incidents - PRIOR_INCIDENTS == pytest.approx(0.5)
    assert found.hours - PRIOR_HOURS == pytest.approx(0.5, rel=0.03)


def test_trust_in_last_saves_is_earned() -> None:
    shares = [
        hazard([stretch(k + 1.0, float(k), "Saved") for k in range(n)], NOW).saved_share
        for n in (0, 1, 5, 20)
    ]
    assert shares == sorted(shares)
    assert shares[0] < 0.11
    assert 0.8 < shares[-1] < 0.95


@pytest.mark.parametrize(("ending", "loss"), [
    (Ending.PREEMPTED, "Saved"), (Ending.NODE_LOST, "Saved"), (Ending.PAUSED, "Saved"),
    (Ending.DELETED, None), (Ending.TRAINER_FAILED, None), (Ending.OUT_OF_MEMORY, None),
    (Ending.SUSPENDED, None), (Ending.COMPLETED, None),
])  # fmt: skip
def test_only_what_the_platform_took_counts(ending: Ending, loss: Loss | None) -> None:
    assert loss_of(*an_attempt(), ending) == loss


def test_a_pause_that_a_person_asked_for_does_not_count() -> None:
    ledger, current = an_attempt(notice=a_notice("PodDeletion"))
    assert loss_of(ledger, current, Ending.PAUSED) is None
    drained = RankEnd(NOW, disruption="EvictionByEvictionAPI")
    evicted = replace(ledger, ranks=(replace(ledger.ranks[0], ended=drained),))
    assert loss_of(evicted, current, Ending.PAUSED) == "Saved"


def test_what_is_committed_of_the_last_step_after_a_notice_is_saved() -> None:
    assert loss_of(*an_attempt(committed=99), Ending.PREEMPTED) == "Lost"
    assert loss_of(*an_attempt(notice=None), Ending.PREEMPTED) == "Lost"
    assert loss_of(*an_attempt(of=2), Ending.PREEMPTED) == "Lost"
    assert loss_of(*an_attempt(started=False), Ending.PREEMPTED) is None


def an_attempt(
    *,
    committed: int = 100,
    of: int = 3,
    notice: Notice | None = a_notice("Preempt"),  # noqa: B008 - frozen
    started: bool = True,
) -> tuple[Ledger, AttemptRecord]:
    """The third attempt, at step 100."""
    current = AttemptRecord(3, NOW, running_at=NOW if started else None, step=100)
    newest = Committed(CommitRef(of, committed, "id"), NOW)
    ledger = Ledger(
        attempt=3,
        attempts=(current,),
        ranks=(RankRecord(0, "uid", notice=notice),),
        checkpoint=Checkpoints(newest=newest),
    )
    return ledger, current


def test_history_leaves_out_what_never_ran() -> None:
    ran = AttemptRecord(1, NOW, running_at=after(5), ended_at=after(65), loss="Lost")
    ledger = Ledger(attempts=(ran, AttemptRecord(2, after(70))))
    assert list(history(ledger)) == [Stretch(after(5), after(65), "Lost")]
