import pytest
from kit.checkpoints import an_id
from spot_training.cli.codes import BAD, USAGE, Refusal
from spot_training.cli.references import resolve, short

ONE, TWO = an_id(1, 400), an_id(2, 300)


@pytest.mark.parametrize(
    "reference", ["a1-s400", "a00000001-s400", ONE, "a1-s400-0123abcd", "a01-s0400"]
)
def test_short_and_whole_names_mean_the_same(reference: str) -> None:
    assert resolve(reference, [TWO, ONE], TWO) == ONE


def test_newest_is_the_newest_valid() -> None:
    assert resolve("newest", [TWO, ONE], ONE) == ONE


def test_short_is_attempt_and_step() -> None:
    assert short(TWO) == "a2-s300"
    assert resolve(short(TWO), [TWO, ONE], None) == TWO


@pytest.mark.parametrize(
    ("reference", "code", "remedy"),
    [
        ("newest", BAD, "checkpoints ls"),
        ("a9-s9", BAD, "checkpoints ls"),
        ("a1-s400-ffffffff", BAD, "checkpoints ls"),
        ("400", USAGE, "a3-s400"),
        ("", USAGE, "a3-s400"),
        ("a1", USAGE, "a3-s400"),
    ],
)
def test_what_is_not_there_is_refused_with_the_remedy(
    reference: str, code: int, remedy: str
) -> None:
    with pytest.raises(Refusal, match=remedy) as refused:
        resolve(reference, [TWO, ONE], None)
    assert refused.value.code == code


def test_two_of_the_same_attempt_and_step_need_the_whole_id() -> None:
    other = an_id(1, 400, "ffffffff")
    with pytest.raises(Refusal, match="ambiguous"):
        resolve("a1-s400", [ONE, other], None)
    assert resolve("a1-s400-ffffffff", [ONE, other], None) == other
