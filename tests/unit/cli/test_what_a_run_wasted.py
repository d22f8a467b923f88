from spot_training.cli.run.ending import Ending
from spot_training.cli.run.story import Start, reached, summary, unproved
from spot_training.steplog import Line


def heard(start: Start, *lines: tuple[str, int, float], stall: float = 0.0) -> Start:
    for kind, step, at in lines:
        start.hear(Line(kind, 1, step, at, stall=stall))
    return start


def test_steps_and_seconds_up_to_the_high_water_mark_are_waste() -> None:
    first = Start(began=0.0, high_water=0, ended=10.0, ending=Ending.KILLED)
    heard(first, ("begin", 0, 1.0), ("step", 100, 9.9), stall=0.5)
    second = Start(began=10.0, high_water=100, ended=20.0, ending=Ending.COMPLETED)
    heard(second, ("begin", 60, 12.0), ("step", 80, 14.0), ("step", 100, 16.0), ("step", 150, 19.0))
    assert (second.again, second.starting, second.replaying) == (40, 2.0, 4.0)
    assert reached([first, second]) == 150
    assert summary([first, second]) == [
        "1 interruption, 1 resume, 2 starts in 20.0 s",
        "150 steps, 40 of them done again (26.7 %)",
        "6.0 s wasted (30.0 %): 2.0 s starting and restoring, 4.0 s in steps done again",
        "0.50 s of checkpoint stall (2.5 %)",
    ]


def test_a_start_killed_before_it_began_is_all_waste() -> None:
    start = Start(began=3.0, high_water=50, ended=5.0, ending=Ending.KILLED)
    assert (start.starting, start.replaying, start.again) == (2.0, 0.0, 0)


def test_one_killed_before_it_caught_up_did_only_old_steps() -> None:
    start = Start(began=0.0, high_water=100, ended=9.0, ending=Ending.KILLED)
    heard(start, ("begin", 60, 1.0), ("step", 70, 2.0))
    assert (start.again, start.replaying) == (10, 8.0)


def test_a_start_that_is_ready_has_done_no_step_yet() -> None:
    start = heard(Start(began=0.0, high_water=0), ("begin", 0, 10.0))
    assert start.first_step is None
    assert heard(start, ("step", 1, 12.0), ("step", 2, 13.0)).first_step == 12.0


def test_only_a_resume_proves_anything() -> None:
    fresh = heard(Start(began=0.0, high_water=0), ("begin", 0, 1.0), ("step", 9, 2.0))
    resumed = heard(Start(began=3.0, high_water=9), ("begin", 5, 4.0))
    assert unproved([fresh, resumed]) == ""
    assert "before the first one. Give a longer --kill-every" in unproved([fresh, fresh])
    assert "Give a shorter --kill-every" in unproved([fresh])
