"""Where the attempt's time goes, by table; and what the trainer's progress file makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.clock import EPOCH, FakeClock, in_fake_time
from spot_sidecar.config.paths import Paths
from spot_sidecar.notices.notice import Kind, Notice
from spot_sidecar.state.attempt_state import AttemptState
from spot_sidecar.state.phase import Signs, phase_of, state_of
from spot_sidecar.state.time_buckets import Phase, TimeBuckets, spend
from spot_sidecar.trainer_watch.progress_watch import ProgressWatch, slowest
from spot_training.progress import Progress, ProgressWriter

TRAINING = [
    # stalled, steps, high water -> stall, replayed, productive (of 10 s)
    (0.0, (0, 10), 0, (0.0, 0.0, 10.0)),
    (2.0, (0, 10), 0, (2.0, 0.0, 8.0)),
    (0.0, (0, 10), 10, (0.0, 10.0, 0.0)),
    (0.0, (0, 10), 5, (0.0, 5.0, 5.0)),
    (2.0, (0, 8), 2, (2.0, 2.0, 6.0)),
    (0.0, (5, 5), 5, (0.0, 0.0, 10.0)),
    (0.0, (4, 4), 5, (0.0, 10.0, 0.0)),
    (12.0, (0, 1), 0, (10.0, 0.0, 0.0)),
    (-1.0, (0, 1), 0, (0.0, 0.0, 10.0)),
]


@pytest.mark.parametrize(("stalled", "steps", "high_water", "expected"), TRAINING)
def test_training_time_is_split_by_stall_and_high_water(
    stalled: float,
    steps: tuple[int, int],
    high_water: int,
    expected: tuple[float, float, float],
) -> None:
    spent = spend(
        TimeBuckets(), 10.0, Phase.TRAINING, stalled=stalled, steps=steps, high_water=high_water
    )
    assert (spent.checkpoint_stall, spent.replayed, spent.productive) == pytest.approx(expected)
    assert spent.total == pytest.approx(10)


def signs(**set_: object) -> Signs:
    usual = {"begun": False, "restoring": False, "alive": False, "ended": False, "notice": None}
    return Signs(**{**usual, **set_})  # type: ignore[arg-type]  # by name


NOTICE = Notice(Kind.Preempt, "imds", EPOCH)
SOON = Notice(Kind.Rebalance, "imds", EPOCH)


@pytest.mark.parametrize(
    ("given", "state", "phase"),
    [
        (signs(), "Waiting", Phase.STARTING),
        (signs(restoring=True), "Restoring", Phase.RESTORING),
        (signs(begun=True, alive=True), "Training", Phase.TRAINING),
        (signs(begun=True, alive=True, notice=SOON), "Training", Phase.TRAINING),
        (signs(begun=True, alive=True, notice=NOTICE), "Draining", Phase.DRAINING),
        (signs(notice=NOTICE), "Waiting", Phase.STARTING),
        (signs(begun=True, ended=True), "Ended", Phase.DRAINING),
    ],
)
def test_the_state_says_what_the_time_is_spent_on(given: Signs, state: str, phase: Phase) -> None:
    assert (state_of(given), phase_of(given)) == (state, phase)


def test_the_slowest_process_speaks_for_the_rank() -> None:
    ahead = Progress(12, 120, 1, 5.0, 0.5)
    behind = Progress(10, 100, 1, 4.0, 0.25)
    assert slowest([ahead, None, behind]) == Progress(10, 100, 1, 4.0, 0.5)
    assert slowest([None]) is None


def test_looks_account_for_all_the_time_between_them(tmp_path: Path) -> None:
    async def scenario(clock: FakeClock) -> AttemptState:
        paths = Paths(shared=tmp_path)
        attempt_state = AttemptState(clock, 2, clock.now())
        phase = [Phase.STARTING]
        works: list[int] = []
        watch = ProgressWatch(
            attempt_state,
            paths,
            high_water=6,
            processes=lambda: (0,),
        )
        watch.connect(phase=lambda: phase[0], works=works.append)
        await clock.sleep(3)
        watch.update()
        phase[0] = Phase.TRAINING
        watch.begins_at(4)
        writer = ProgressWriter(paths.progress(0))
        writer.write(Progress(8, 80, 0, 1.0, 1.0))
        await clock.sleep(5)
        watch.update()
        assert works == [0]
        writer.close()
        return attempt_state

    attempt_state = in_fake_time(scenario)
    assert attempt_state.seconds == TimeBuckets(
        start_up=3.0, productive=2.0, replayed=2.0, checkpoint_stall=1.0
    )
    assert attempt_state.replayed_steps == 2
    assert attempt_state.trainer.step == 8


@pytest.mark.parametrize(
    ("begun_at", "steps", "stepping"),
    [
        (0, (0, 0, 0), None),
        (0, (0, 3, 6), 10.0),
        (100, (100, 100, 100), None),
        (100, (100, 101, 140), 10.0),
        (100, (100, 100, 101), 0.0),
        (100, (20, 40, 60), None),
    ],
)
def test_own_steps_are_counted_from_the_first_beyond_the_checkpoint(
    tmp_path: Path, begun_at: int, steps: tuple[int, int, int], stepping: float | None
) -> None:
    async def scenario(clock: FakeClock) -> AttemptState:
        paths, attempt_state = Paths(shared=tmp_path), AttemptState(clock, 2, clock.now())
        watch = ProgressWatch(
            attempt_state,
            paths,
            high_water=0,
            processes=lambda: (0,),
        )
        watch.connect(phase=lambda: Phase.TRAINING, works=lambda _: None)
        watch.begins_at(begun_at)
        writer = ProgressWriter(paths.progress(0))
        for step in steps:
            await clock.sleep(10)
            writer.write(Progress(step, 0, 0, 1.0, 0.0))
            watch.update()
        writer.close()
        return attempt_state

    attempt_state = in_fake_time(scenario)
    assert attempt_state.trainer.stepping_seconds == stepping
    assert attempt_state.trainer.to_json().get("steppingSeconds") == stepping
