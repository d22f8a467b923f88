import random

import pytest
from spot_training.checkpoint import keys
from spot_training.checkpoint.keys import CheckpointId


def test_an_ascending_list_of_commits_is_newest_first() -> None:
    ids = [CheckpointId(a, s, "00000000") for a in (1, 2, 10) for s in (0, 9, 10, 999999)]
    random.Random(0).shuffle(ids)
    listed = sorted(keys.commit(str(one)) for one in ids)
    assert [keys.parse_commit(key) for key in listed] == sorted(ids, reverse=True)


def test_a_later_attempt_outranks_a_larger_step() -> None:
    assert keys.commit("a00000002-s000000000001-00000000") < keys.commit(
        "a00000001-s000000000999-00000000"
    )


@pytest.mark.parametrize(
    ("key", "parse", "expected"),
    [
        (keys.data("a00000001-s000000000002-0000000a", 3, 4), keys.parse_data,
         ("a00000001-s000000000002-0000000a", 3, 4)),
        (keys.claim(7, 2), keys.parse_claim, (7, 2)),
        (keys.receipt("a00000001-s000000000002-0000000a", 5), keys.parse_receipt,
         ("a00000001-s000000000002-0000000a", 5)),
        (keys.tombstone("a00000001-s000000000002-0000000a"), keys.parse_tombstone,
         "a00000001-s000000000002-0000000a"),
        (keys.choice(3, 1), keys.parse_choice, (3, 1)),
        (keys.post(3, 1, 9), keys.parse_post, (3, 1, 9)),
        (keys.evidence("a00000001-s000000000002-0000000a", 3, 1, 9), keys.parse_evidence,
         "a00000001-s000000000002-0000000a"),
        (keys.marker(12), keys.parse_marker, 12),
    ],
)  # fmt: skip
def test_every_key_reads_back(key: str, parse: object, expected: object) -> None:
    assert callable(parse)
    assert parse(key) == expected
    assert parse("other/" + key) is None


def test_a_commit_key_whose_halves_disagree_is_foreign() -> None:
    right = keys.commit("a00000001-s000000000002-0000000a")
    assert keys.parse_commit(right.replace("99999998", "99999997")) is None


@pytest.mark.parametrize(
    "text", ["", "a1-s2-0000000a", "a00000001-s000000000002-0000000G", "a00000001-s000000000002"]
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="checkpoint id"):
        CheckpointId.parse(text)


def test_numbers_beyond_the_key_are_refused() -> None:
    with pytest.raises(ValueError, match="digits"):
        keys.checkpoint_id(10**8, 0, "0000000a")


def test_lineages_have_no_leading_or_double_slashes() -> None:
    assert keys.lineage_prefix("/a/b/", "ns", "job", "uid") == "a/b/ns/job/uid/"
    assert keys.lineage_prefix("", "ns", "job", "uid") == "ns/job/uid/"
