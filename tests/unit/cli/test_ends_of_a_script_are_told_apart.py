import pytest
from spot_training.cli.run.ending import (
    STUCK_AFTER,
    Ending,
    Exit,
    Patience,
    classify,
    decide,
    spelled,
)


@pytest.mark.parametrize(
    ("end", "ending"),
    [
        (Exit(0, marker=True), Ending.COMPLETED),
        (Exit(0, struck=True, warned=True, marker=True), Ending.COMPLETED),
        (Exit(0, struck=True, warned=True), Ending.PAUSED),
        (Exit(0), Ending.UNFINISHED),
        (Exit(93), Ending.REFUSED),
        (Exit(93, struck=True, warned=True), Ending.REFUSED),
        (Exit(94), Ending.STOPPED),
        (Exit(-9, struck=True), Ending.KILLED),
        (Exit(-9, struck=True, warned=True), Ending.KILLED),
        (Exit(-15, struck=True, warned=True), Ending.KILLED),
        (Exit(143, struck=True, warned=True), Ending.KILLED),
        (Exit(-9), Ending.FAILED),
        (Exit(-11, struck=True), Ending.FAILED),
        (Exit(1, struck=True, warned=True), Ending.FAILED),
        (Exit(1), Ending.FAILED),
    ],
)
def test_endings(end: Exit, ending: Ending) -> None:
    assert classify(end) is ending


@pytest.mark.parametrize(
    ("ending", "code", "patience", "again", "left_with"),
    [
        (Ending.COMPLETED, 0, Patience(), False, 0),
        (Ending.KILLED, -9, Patience(kills=1), True, 0),
        (Ending.KILLED, -9, Patience(kills=STUCK_AFTER), False, 1),
        (Ending.PAUSED, 0, Patience(), True, 0),
        (Ending.UNFINISHED, 0, Patience(), False, 1),
        (Ending.REFUSED, 93, Patience(), False, 93),
        (Ending.STOPPED, 94, Patience(), False, 94),
        (Ending.FAILED, 7, Patience(failures=3), True, 0),
        (Ending.FAILED, 7, Patience(failures=4), False, 7),
        (Ending.FAILED, -11, Patience(failures=4), False, 139),
    ],
)
def test_what_follows(
    ending: Ending, code: int, patience: Patience, again: bool, left_with: int
) -> None:
    verdict = decide(ending, code, patience, max_failures=3)
    assert (verdict.again, verdict.code) == (again, left_with)
    assert bool(verdict.why) == (not again and ending is not Ending.COMPLETED)


def test_a_new_checkpoint_begins_the_counts_anew() -> None:
    worn = Patience(failures=3, kills=9)
    assert worn.after(Ending.KILLED, committed=True) == Patience(0, 1)
    assert worn.after(Ending.FAILED, committed=False) == Patience(4, 9)


def test_codes_are_spelled() -> None:
    assert spelled(3) == "exit code 3"
    assert spelled(-11) == "signal 11 (SIGSEGV)"
    assert spelled(-99) == "signal 99"
