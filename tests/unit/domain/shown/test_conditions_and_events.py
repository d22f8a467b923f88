"""What a person reads: conditions that change when things do, and events of what happened."""

from dataclasses import replace

import pytest
from kit.builders import (
    a_commit,
    a_default_policy,
    a_job,
    a_node,
    a_notice,
    a_pod,
    a_report,
    a_snapshot,
    after,
    at_work,
    committed,
    exited,
    expect_write,
    later,
    persisted,
    running,
    the_condition,
)
from spot_operator.api.names import Condition
from spot_operator.domain.observed.snapshot import Problem, ReportView, Snapshot
from spot_operator.domain.plan import plan

POD = running(a_pod())
SUCCEEDED, RUNNING = Condition.SUCCEEDED, Condition.RUNNING
HEALTHY, CAPACITY = Condition.CHECKPOINTS_HEALTHY, Condition.CAPACITY_AVAILABLE


def reporting(report: ReportView) -> Snapshot:
    return persisted(replace(at_work(), reports={POD.uid: report}))


def events(snapshot: Snapshot) -> list[tuple[str, str]]:
    return [(one.type, one.reason) for one in plan(snapshot).events]


@pytest.mark.parametrize(
    ("state", "status", "reason"),
    [
        ("Waiting", "False", "Starting"),
        ("Restoring", "False", "Restoring"),
        ("Training", "True", "Training"),
        ("Draining", "False", "Draining"),
        ("Ended", "False", "Draining"),
    ],
)
def test_running_says_what_the_sidecar_says(state: str, status: str, reason: str) -> None:
    found = the_condition(reporting(a_report(state=state)).ledger, RUNNING)
    assert (found.status, found.reason) == (status, reason)


def test_a_new_leader_keeps_what_the_last_one_heard() -> None:
    deaf = persisted(replace(at_work(), reports={}))
    assert the_condition(deaf.ledger, RUNNING).status == "True"


@pytest.mark.parametrize(
    ("report", "status", "reason", "says"),
    [
        (a_report(), "Unknown", "NoneYet", "no checkpoint"),
        (committed(a_report(), a_commit()), "True", "Committed", "newest"),
        (
            a_report(problem=Problem("StoreUnreachable", "connect timeout to minio:9000")),
            "False",
            "StoreUnreachable",
            "no attempt begins from zero",
        ),
        (a_report(problem=Problem("StoreDenied", "403")), "False", "StoreDenied", "credentials"),
        (
            a_report(problem=Problem("StagingTooSmall", "needs 2147483648 bytes")),
            "False",
            "StagingTooSmall",
            "needs 2147483648 bytes",
        ),
        (
            a_report(quarantined=(("a1-s100", "digest differs"),)),
            "False",
            "CheckpointCorrupt",
            "a1-s100: digest differs",
        ),
        (
            committed(a_report(quarantined=(("a0-s1", "short"),)), a_commit()),
            "True",
            "Committed",
            "",
        ),
        (a_report(problem=Problem("Superseded", "")), "Unknown", "NoneYet", ""),
    ],
)
def test_checkpoints_are_healthy_or_it_is_said_why_not(
    report: ReportView, status: str, reason: str, says: str
) -> None:
    found = the_condition(reporting(report).ledger, HEALTHY)
    assert (found.status, found.reason) == (status, reason)
    assert says in found.message


def test_store_trouble_never_ends_an_attempt() -> None:
    snapshot = reporting(a_report(problem=Problem("StoreUnreachable", "x"), state="Waiting"))
    assert persisted(later(snapshot, 86_400)).ledger.attempts[-1].ending is None


def test_the_time_of_a_condition_changes_only_with_its_status() -> None:
    working = at_work()
    restoring = persisted(
        replace(later(working, 10), reports={POD.uid: a_report(state="Restoring")})
    )
    draining = persisted(replace(later(restoring, 10), reports={POD.uid: a_report(state="Ended")}))
    assert the_condition(working.ledger, RUNNING).since == after(0)
    assert the_condition(restoring.ledger, RUNNING).since == after(10)
    assert the_condition(draining.ledger, RUNNING).since == after(10)
    assert the_condition(draining.ledger, SUCCEEDED).since == after(0)


def test_every_condition_is_there_from_the_first_look_and_knows_its_generation() -> None:
    ledger = expect_write(a_snapshot(job=a_job(generation=7)))
    assert [one.type for one in ledger.conditions] == list(Condition)
    assert {one.observed_generation for one in ledger.conditions} == {7}
    assert ledger.observed_generation == 7


def test_a_changed_message_alone_waits_for_room() -> None:
    unreachable = reporting(a_report(problem=Problem("StoreUnreachable", "try 1")))
    again = replace(
        unreachable, reports={POD.uid: a_report(problem=Problem("StoreUnreachable", "try 2"))}
    )
    made = plan(again)
    assert made.ledger is not None
    assert not made.urgent
    assert made.events == ()


def test_placed_and_not_needed() -> None:
    assert the_condition(at_work().ledger, CAPACITY).reason == "Placed"
    placing = persisted(a_snapshot())
    assert the_condition(placing.ledger, CAPACITY).reason == "Placing"
    over = expect_write(replace(at_work(), pods=(exited(POD, 93),)))
    assert the_condition(over, CAPACITY).reason == "NotNeeded"


def test_events_tell_the_story_of_an_attempt() -> None:
    policies = (a_default_policy(),)
    assert events(a_snapshot(policies=policies)) == [("Normal", "PolicyChosen")]
    begun = persisted(a_snapshot(policies=policies))
    assert events(replace(begun, pods=(POD,))) == [("Normal", "AttemptCreated")]
    placed = persisted(replace(begun, pods=(POD,)))
    assert events(replace(placed, reports={POD.uid: a_report()})) == [("Normal", "Resumed")]
    resumed = persisted(replace(placed, reports={POD.uid: a_report()}))
    saved = committed(a_report(notice=a_notice()), a_commit())
    assert events(replace(resumed, reports={POD.uid: saved})) == [
        ("Normal", "NoticeObserved"),
        ("Normal", "FirstCheckpoint"),
    ]
    warned = persisted(replace(resumed, reports={POD.uid: saved}))
    assert events(replace(warned, pods=(exited(POD, 1),))) == [
        ("Warning", "AttemptEnded"),
        ("Normal", "NodeExcluded"),
    ]


def test_events_tell_of_a_lost_node_a_wait_and_the_end() -> None:
    rebooted = replace(at_work(), nodes={"node-1": a_node(boot_id="boot-2")})
    assert ("Warning", "NodeLost") in events(rebooted)
    failing = replace(at_work(policies=(a_default_policy(),)), pods=(exited(POD, 1),))
    assert events(failing) == [("Warning", "AttemptEnded"), ("Normal", "BackingOff")]
    refusing = replace(at_work(), pods=(exited(POD, 93),))
    assert events(refusing) == [("Warning", "AttemptEnded"), ("Warning", "Failed")]


def test_an_event_says_what_was_announced() -> None:
    warned = replace(at_work(), reports={POD.uid: a_report(notice=a_notice())})
    (event,) = plan(warned).events
    assert event.message == "attempt 1: Preempt of node-1, by 2026-03-01T12:02:00Z (imds)"


def test_a_hindrance_is_told_once() -> None:
    job = a_job(policyName="golden")
    assert ("Warning", "InvalidSpec") in events(a_snapshot(job=job))
    assert events(persisted(a_snapshot(job=job))) == []
