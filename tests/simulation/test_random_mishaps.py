"""Whatever goes wrong around a job, it completes, exactly, and no failure is charged for it.

A sample of the campaign (`make campaign NAME=simulation`), and every mishap by itself.
"""

import pytest
from kit.simcluster.mishaps import MISHAPS, Mishap
from kit.simcluster.trials import ride


def expect_promises_kept(seed: int, *mishaps: Mishap) -> None:
    trial = ride(seed, mishaps or MISHAPS)
    told = "\n".join(trial.done)
    assert not trial.broken, f"seed {seed}:\n{told}\n{trial.broken}"


@pytest.mark.parametrize("seed", range(1, 25))
def test_a_job_completes_whatever_goes_wrong(seed: int) -> None:
    expect_promises_kept(seed)


@pytest.mark.parametrize("mishap", MISHAPS, ids=lambda one: one.__name__)
def test_a_job_completes_when_one_kind_of_thing_goes_wrong_again_and_again(
    mishap: Mishap,
) -> None:
    for seed in (1, 2):
        expect_promises_kept(seed, mishap)
