"""Silence counts only while we could have heard: also while no token can be reviewed."""

import pytest
from kit.clock import FakeClock, in_fake_time
from spot_operator.reports.hearing import ADDRESS, CERTIFICATE, REVIEWS, Hearing


def well(clock: FakeClock) -> Hearing:
    hearing = Hearing(clock)
    for what in (CERTIFICATE, ADDRESS):
        hearing.found(what, well=True)
    return hearing


CASES: dict[str, tuple[list[tuple[float, bool | None]], float, bool]] = {
    "none is asked": ([], 1000, False),
    "every one is answered": ([(15, True)] * 4, 1060, False),
    "one fails and the next is answered": ([(15, False), (2, True)], 1017, False),
    "now and then one fails": ([(1, False), (1, True)] * 20, 1040, False),
    "all fail": ([(5, False)] * 4, 0, True),
    "all failed, and one was answered": ([(5, False), (5, False), (5, False), (1, True)], 1, False),
    "all failed, and nobody asks any more": (
        [(5, False), (5, False), (5, False), (61, None)],
        61,
        False,
    ),
    "one failed, and nobody asks any more": ([(5, False), (30, None)], 30, False),
}
"""Waits with the answer after each (None: no question), the seconds of hearing, whether it is told
that there is none."""


@pytest.mark.parametrize("name", CASES)
def test_the_time_counts_from_the_last_review_of_a_row_that_failed(name: str) -> None:
    reviews, seconds, told = CASES[name]

    async def scenario(clock: FakeClock) -> None:
        hearing = well(clock)
        await clock.sleep(1000)
        for wait, answered in reviews:
            await clock.sleep(wait)
            if answered is not None:
                hearing.reviewed(well=answered)
        assert hearing.seconds() == pytest.approx(seconds)
        assert (REVIEWS in hearing.lacks) is told

    in_fake_time(scenario)


def test_answered_reviews_do_not_stand_for_what_else_is_missing() -> None:
    async def scenario(clock: FakeClock) -> None:
        hearing = Hearing(clock)
        await clock.sleep(100)
        hearing.reviewed(well=True)
        assert hearing.seconds() == 0.0
        assert hearing.lacks == f"{CERTIFICATE} and {ADDRESS}"

    in_fake_time(scenario)
