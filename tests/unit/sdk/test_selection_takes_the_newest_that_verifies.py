"""The rules of selection and quarantine, as tables over pure facts."""

from dataclasses import replace

import pytest
from kit.checkpoints import an_id
from spot_training.checkpoint.selection import (
    Bad,
    Completed,
    Decision,
    Evidence,
    Facts,
    FromZero,
    Good,
    Kind,
    Resume,
    Stop,
    Unknown,
    Verdict,
    Wait,
    confirmed,
    newest_first,
    select,
)

OLD, MIDDLE, NEW = an_id(1, 10), an_id(1, 20), an_id(2, 5)
ALL = (OLD, MIDDLE, NEW)


def facts(**changes: object) -> Facts:
    return replace(Facts(node="n1", commits=ALL), **changes)  # type: ignore[arg-type]


def bad(id_: str, kind: Kind = Kind.CONTENT, node: str = "n1") -> Evidence:
    return Evidence(id_, kind, node, f"{id_} is bad")


def decide(given: Facts, **verdicts: Verdict) -> Decision:
    return select(given, lambda id_: verdicts.get(_name(id_), Good()))


def _name(id_: str) -> str:
    return {OLD: "old", MIDDLE: "middle", NEW: "new"}[id_]


def test_a_later_attempt_is_newer_than_a_larger_step() -> None:
    assert newest_first(ALL) == [NEW, MIDDLE, OLD]
    assert decide(facts()) == Resume(NEW)


def test_what_the_server_shows_to_be_bad_is_passed_over() -> None:
    evidence = bad(NEW, Kind.SERVER)
    assert decide(facts(), new=Bad(evidence)) == Resume(MIDDLE, (evidence,))


@pytest.mark.parametrize("changes", [
    {"tombstones": (NEW,)},
    {"suspects": (NEW,)},
    {"evidence": (bad(NEW),)},
    {"evidence": (bad(NEW, Kind.MISSING, "n2"),)},
    {"evidence": (bad(NEW, node="n2"), bad(NEW, node="n3"))},
])  # fmt: skip
def test_what_is_known_to_be_bad_is_not_tried_again(changes: dict[str, object]) -> None:
    assert decide(facts(**changes)) == Resume(MIDDLE)


def test_one_other_node_condemning_it_is_no_reason_not_to_try() -> None:
    assert decide(facts(evidence=(bad(NEW, node="n2"),))) == Resume(NEW)


def test_nothing_older_is_taken_because_the_newest_cannot_be_seen() -> None:
    assert decide(facts(), new=Unknown("time-out")) == Wait(f"{NEW}: time-out")


def test_a_newer_format_stops_with_the_remedy() -> None:
    decision = decide(facts(), new=Unknown("upgrade spot-training", retry=False))
    assert decision == Stop("UnsupportedCheckpoint", f"{NEW}: upgrade spot-training")


def test_what_status_records_is_tried_though_the_list_lacks_it() -> None:
    lagging = facts(commits=(OLD, MIDDLE), recorded=NEW)
    assert decide(lagging) == Resume(NEW)


def test_a_completed_job_is_not_trained_again() -> None:
    assert decide(facts(markers=(1, 2))) == Completed(2)


@pytest.mark.parametrize(("changes", "expected"), [
    ({}, FromZero),
    ({"recorded": NEW}, Stop),
    ({"tombstones": (OLD,)}, Stop),
    ({"commits": (OLD,), "tombstones": (OLD,)}, Stop),
    ({"commits": (OLD,), "suspects": (OLD,)}, Stop),
    ({"commits": (OLD,), "evidence": (bad(OLD), bad(OLD, node="n2"))}, Stop),
    ({"recorded": NEW, "start_fresh": True}, FromZero),
    ({"tombstones": (OLD,), "start_fresh": True}, FromZero),
])  # fmt: skip
def test_zero_is_only_for_a_job_that_never_committed(
    changes: dict[str, object], expected: type[Decision]
) -> None:
    given = facts(**{"commits": (), **changes})
    decision = select(given, lambda id_: Bad(bad(id_, Kind.MISSING)))
    assert isinstance(decision, expected)
    if isinstance(decision, Stop):
        assert decision.word == "NoValidCheckpoint"
        assert "onNoneValid" in decision.reason


def test_an_emptied_store_is_named_as_such() -> None:
    decision = select(
        facts(commits=(), recorded=NEW), lambda id_: Bad(Evidence(id_, Kind.MISSING, "n1", "gone"))
    )
    assert isinstance(decision, Stop)
    assert "gone" in decision.reason


def test_two_candidates_failing_on_one_node_condemn_the_node() -> None:
    given = facts(evidence=(bad(NEW), bad(MIDDLE)))
    decision = decide(given)
    assert isinstance(decision, Stop)
    assert decision.word == "BadNode"
    assert confirmed(given) == []


@pytest.mark.parametrize("start_fresh", [False, True])
def test_the_last_candidate_is_not_given_up_on_one_nodes_word(start_fresh: bool) -> None:
    """It may be the node's memory: neither the job's end nor a start from zero follows from it."""
    given = facts(commits=(OLD,), evidence=(bad(OLD),), start_fresh=start_fresh)
    decision = decide(given)
    assert isinstance(decision, Stop)
    assert decision.word == "BadNode"
    assert confirmed(given) == []
    assert decide(replace(given, node="n2")) == Resume(OLD)


@pytest.mark.parametrize("start_fresh", [False, True])
@pytest.mark.parametrize("failed", [(NEW, MIDDLE), (NEW, MIDDLE, OLD)])
def test_a_bad_node_of_the_gang_is_named_wherever_it_is(
    failed: tuple[str, ...], start_fresh: bool
) -> None:
    evidence = tuple(bad(id_, node="n2") for id_ in failed)
    given = facts(evidence=evidence, tried=failed, gang=("n2",), start_fresh=start_fresh)
    for node in ("n1", "n2", ""):
        decision = decide(replace(given, node=node))
        assert isinstance(decision, Stop)
        assert (decision.word, decision.node) == ("BadNode", "n2")
    # In a gang without it, its word says nothing of the others' nodes.
    assert decide(facts(evidence=evidence)) == Resume(NEW)


def test_one_failure_in_the_gang_is_followed_by_the_next_candidate_while_there_is_one() -> None:
    tried = facts(evidence=(bad(NEW, node="n2"),), tried=(NEW,), gang=("n2",))
    assert decide(tried) == Resume(MIDDLE)
    last = decide(replace(tried, commits=(NEW,)))
    assert isinstance(last, Stop)
    assert (last.word, last.node) == ("BadNode", "n2")


def test_a_second_node_clears_the_first() -> None:
    given = facts(evidence=(bad(NEW, node="n2"), bad(NEW), bad(MIDDLE, node="n2"), bad(MIDDLE)))
    assert decide(given) == Resume(OLD)
    assert {item.id for item in confirmed(given)} == {NEW, MIDDLE}


@pytest.mark.parametrize(("changes", "buried"), [
    ({"evidence": (bad(NEW),)}, set()),
    ({"evidence": (bad(NEW, Kind.SERVER),)}, set()),
    ({"evidence": (bad(NEW, Kind.MISSING),)}, {NEW}),
    ({"evidence": (bad(NEW),), "verified_on": ("n1",)}, {NEW}),
    ({"evidence": (bad(NEW, Kind.SERVER),), "verified_on": ("n1",)}, {NEW}),
    ({"evidence": (bad(NEW),), "verified_on": ("n2",)}, set()),
    ({"evidence": (bad(NEW, node="n2"),), "verified_on": ("n1", "n2")}, {NEW}),
    ({"evidence": (bad(NEW, node="n2"), bad(OLD, node="n2")), "verified_on": ("n1", "n2")}, set()),
    ({"evidence": (bad(NEW),), "verified_on": ("n1",), "verified": NEW}, set()),
    ({"evidence": (bad(NEW), bad(NEW, node="n2"))}, {NEW}),
    ({"evidence": (bad(NEW), bad(NEW))}, set()),
    ({"evidence": (bad(NEW, Kind.MISSING),), "tombstones": (NEW,)}, set()),
])  # fmt: skip
def test_quarantine_needs_definite_evidence(changes: dict[str, object], buried: set[str]) -> None:
    assert {item.id for item in confirmed(facts(**changes))} == buried
