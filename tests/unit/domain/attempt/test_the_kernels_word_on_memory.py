"""A trainer that the kernel killed for its memory, where the runtime does not say so."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.builders import (
    a_job,
    a_node,
    a_notice,
    a_pod,
    a_report,
    after,
    at_work,
    disrupted,
    exited,
    expect_ending,
    expect_write,
    later,
    persisted,
    running,
    saying,
    terminating,
    the_rank,
)
from spot_operator.domain.attempt.last_word import last_word
from spot_operator.domain.observed.elapsed import placed
from spot_operator.domain.observed.snapshot import PodView, Visibility
from spot_operator.domain.state.ledger import AttemptRecord, Charge, MemoryKills
from spot_operator.domain.state.status import ledger_of, status_of

Json = dict[str, Any]
POD = running(a_pod())
KILLED = exited(POD, 137, "Error")
OWN: Json = {"oom": 1, "oomKill": 2, "limitBytes": 160 * 2**20, "secondsBeforeEnd": 0.25}
"""The container was at its limit, and two of its processes were killed."""
NODES: Json = {**OWN, "oom": 0}
"""Nothing was wrong with the container's limit."""
MEMORY, UNKNOWN = ("OutOfMemory", Charge.FAILURE), ("Unknown", Charge.INTERRUPTION)
FAILED = ("TrainerFailed", Charge.FAILURE)
SILENT_BEFORE = Visibility(fresh=True, leading_for=3600.0, leases={"node-1": (2.0, 75.0, 85.0)})
HOUR = 3600


def said(memory: object, pod: PodView = KILLED, **word: Any) -> PodView:
    """The sidecar's last word has this."""
    return saying(pod, memory=memory, **word)


CASES: dict[str, tuple[Json, tuple[str, Charge | None]]] = {
    "its own limit": ({"pods": (said(OWN),)}, MEMORY),
    "one process of several, and the others gave up": (
        {"pods": (said(OWN, exited(POD, 1)),)},
        MEMORY,
    ),
    "no figure of the limit": ({"pods": (said({**OWN, "limitBytes": None}),)}, MEMORY),
    "an older sidecar says nothing": ({"pods": (saying(KILLED),)}, UNKNOWN),
    "no sidecar says anything": ({"pods": (KILLED,)}, UNKNOWN),
    "the node's memory": ({"pods": (said(NODES),)}, UNKNOWN),
    "at its limit, and nothing was killed": ({"pods": (said({**OWN, "oomKill": 0}),)}, UNKNOWN),
    "an hour before its end": ({"pods": (said({**OWN, "secondsBeforeEnd": HOUR}),)}, UNKNOWN),
    "it outlived the kill": ({"pods": (said({**OWN, "secondsBeforeEnd": None}),)}, UNKNOWN),
    "a report alone": (
        {"pods": (KILLED,), "reports": {POD.uid: a_report(memory=MemoryKills(1, 2, None, 0.3))}},
        MEMORY,
    ),
    "the last word is newer than the report": (
        {
            "pods": (said({**OWN, "secondsBeforeEnd": None}),),
            "reports": {POD.uid: a_report(memory=MemoryKills(1, 2, None, 0.3))},
        },
        UNKNOWN,
    ),
    "SIGTERM ended it": ({"pods": (said(OWN, exited(POD, 143)),)}, UNKNOWN),
    "its container's state was lost": (
        {"pods": (said(OWN, exited(POD, 137, "ContainerStatusUnknown")),)},
        UNKNOWN,
    ),
    "its node was silent just before": (
        {"pods": (said(OWN),), "visibility": SILENT_BEFORE, "seen": {placed(POD): 600.0}},
        UNKNOWN,
    ),
    "it refused": (
        {"pods": (said(OWN, exited(POD, 93)),)},
        ("TrainerRefused", None),
    ),
    "it had completed": ({"pods": (said(OWN, word="Finished"),)}, ("Completed", None)),
    "a preemption was announced": (
        {
            "pods": (said(OWN, exited(POD, 137, "Error", at=after(100))),),
            "reports": {POD.uid: a_report(notice=a_notice("Preempt"))},
        },
        ("Preempted", Charge.INTERRUPTION),
    ),
    "somebody deleted the pod": (
        {"pods": (said(OWN, terminating(KILLED)),)},
        ("Deleted", Charge.INTERRUPTION),
    ),
    "it was evicted": (
        {"pods": (said(OWN, disrupted(KILLED, "EvictionByEvictionAPI")),)},
        ("Evicted", Charge.INTERRUPTION),
    ),
    "its node rebooted": (
        {"pods": (said(OWN),), "nodes": {"node-1": a_node(boot_id="boot-2")}},
        ("NodeLost", Charge.INTERRUPTION),
    ),
    "a shell made 0 of it": (
        {"job": a_job(completion="ExitCode"), "pods": (said(OWN, exited(POD, 0)),)},
        MEMORY,
    ),
    "it exited with 0 an hour after a kill": (
        {
            "job": a_job(completion="ExitCode"),
            "pods": (said({**OWN, "secondsBeforeEnd": HOUR}, exited(POD, 0)),),
        },
        ("Completed", None),
    ),
    "another exit code, and no kill of its own": ({"pods": (said(NODES, exited(POD, 1)),)}, FAILED),
}


def ended(**changes: Any) -> AttemptRecord:
    """The record of an attempt that came to this."""
    found = expect_write(replace(at_work(), **changes)).attempts[0]
    assert found.ending is not None
    return found


@pytest.mark.parametrize("name", CASES)
def test_only_kills_for_its_own_limit_that_ended_it_are_its_failure(name: str) -> None:
    changes, (ending, charged) = CASES[name]
    record = expect_ending(expect_write(replace(at_work(), **changes)), ending)
    assert record.charged is charged, record.message


def test_the_message_has_the_figures() -> None:
    record = ended(pods=(said(OWN),))
    assert "limit 160Mi, memory.events: oom 1, oom_kill 2, 0.2 s before its end" in record.message
    assert "raise its memory limit" in record.message


def test_the_nodes_want_of_memory_is_told_from_its_own() -> None:
    record = ended(pods=(said(NODES),))
    assert "on its node or in its pod" in record.message
    assert "oom 0, oom_kill 2" in record.message
    assert "nothing says what" in ended(pods=(KILLED,)).message


def test_a_kill_that_the_trainer_outlived_is_forgotten_once_it_is_told_of() -> None:
    """A worker was killed, the script began its loop again, and an hour later somebody kills it."""
    kills = MemoryKills(1, 1, None, 0.1)
    work = at_work()
    first = persisted(replace(work, reports={POD.uid: a_report(memory=kills)}))
    assert the_rank(first.ledger).memory == kills
    lives = replace(kills, seconds_before_end=None)
    again = persisted(later(first, 20, reports={POD.uid: a_report(memory=lives)}))
    assert the_rank(again.ledger).memory is None
    expect_ending(expect_write(later(again, 3600, pods=(KILLED,))), "Unknown")


def test_the_next_leader_knows_what_the_last_one_was_told() -> None:
    """The report came before the pod ended, and the sidecar left no last word."""
    told = persisted(replace(at_work(), reports={POD.uid: a_report(memory=MemoryKills(1, 1))}))
    kills = MemoryKills(1, 1, 2**30, 0.5)
    told = persisted(later(told, 1, reports={POD.uid: a_report(memory=kills)}))
    kept = ledger_of(status_of(told.ledger))
    assert the_rank(kept).memory == kills
    unheard = later(replace(told, ledger=kept), 5, pods=(KILLED,), reports={})
    expect_ending(expect_write(unheard), "OutOfMemory")


def test_a_status_without_it_is_read() -> None:
    status = status_of(persisted(at_work()).ledger)
    assert "memory" not in status["ranks"][0]
    assert the_rank(ledger_of(status)).memory is None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
FIGURES = st.fixed_dictionaries(
    {},
    optional={
        name: st.sampled_from([0, 1, 2.5, 1e308, 2**53, 2**70, -1, True, "1", None]) | ANYTHING
        for name in OWN
    },
)


@given(memory=FIGURES | ANYTHING)
@settings(max_examples=200, deadline=None)
def test_whatever_stands_in_a_last_word_is_read(memory: object) -> None:
    found = last_word(said(memory)).memory
    if found is not None:
        assert min(found.oom, found.oom_kill) >= 0
        assert max(found.oom, found.oom_kill, found.limit_bytes or 0) <= 2**53
        assert found.seconds_before_end is None or 0 <= found.seconds_before_end < 1e9


PODS = {
    f"{code} {reason}": exited(POD, code, reason)
    for code in (0, 1, 9, 93, 94, 134, 137, 139, 143, 255)
    for reason in ("Error", "OOMKilled", "ContainerStatusUnknown", "Unknown")
}


@given(
    name=st.sampled_from(sorted(PODS)),
    oom=st.sampled_from([0, 1, 2**40]),
    kill=st.sampled_from([0, 1, 2**40]),
    before=st.sampled_from([None, 0, 0.5, 59.0, 61.0, 1e8]),
    outside=st.sampled_from(["", "deleted", "disrupted"]),
)
@settings(max_examples=200, deadline=None)
def test_a_trainer_that_forges_it_accuses_none_but_itself(
    name: str, oom: int, kill: int, before: float | None, outside: str
) -> None:
    """Figures change an ending to OutOfMemory, a failure, or not at all: no charge goes down."""
    pod = PODS[name]
    if outside:
        pod = terminating(pod) if outside == "deleted" else disrupted(pod, "Odd")
    honest = ended(pods=(saying(pod),))
    memory = {"oom": oom, "oomKill": kill, "limitBytes": 1, "secondsBeforeEnd": before}
    forged = ended(pods=(said(memory, pod),))
    if (forged.ending, forged.charged) != (honest.ending, honest.charged):
        assert (forged.ending, forged.charged) == MEMORY
        assert not outside
        assert honest.ending in {"Unknown", "TrainerFailed"}
