"""What does not come any more is told: reports, steps, checkpoints, the first call of the SDK.

A table of what may be seen of a live attempt, and what Running and CheckpointsHealthy say of it.
"""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from kit.builders import (
    a_commit,
    a_job,
    a_node,
    a_pod,
    a_report,
    after,
    at_work,
    committed,
    expect_rest,
    later,
    persisted,
    resumed_from,
    running,
    seeing,
    the_condition,
    the_rank,
)
from kit.jobs import a_script_job, a_spec
from kit.walking import walked
from spot_operator.api.names import Condition, State
from spot_operator.domain.observed.snapshot import (
    ConditionView,
    ContainerView,
    JobView,
    NodeView,
    Problem,
    ReportView,
    Snapshot,
)
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import Interval, IntervalInputs

HOURS = 5 * 3600.0
MINUTE = 60.0
POD = running(a_pod())
UP = POD.sidecar
RUNNING, HEALTHY = Condition.RUNNING, Condition.CHECKPOINTS_HEALTHY
EVERY_MINUTE = Interval(60.0, "Optimum", IntervalInputs(step_seconds=2.0))
SAVED = replace(committed(a_report(step=120), a_commit()), interval=EVERY_MINUTE)
NEW = a_report(step=0, resume=None, state="Waiting", registered=False)
SCRIPT = a_job(**a_script_job())


def aged(
    report: ReportView, age: float = 1.0, step: float = 0.5, commit: float = 0.0
) -> ReportView:
    return replace(report, age=age, step_age=step, commit_age=commit)


def sidecar(
    state: Any, reason: str = "", message: str = "", *, restarts: int = 0, last: str = ""
) -> ContainerView:
    return ContainerView(
        "spot-sidecar", state, reason, message, restarts=restarts, last_reason=last
    )


LOOPING = sidecar("waiting", "CrashLoopBackOff", "back-off 5m0s", restarts=60, last="OOMKilled")


def seen(
    report: ReportView,
    container: ContainerView = UP,
    *,
    seconds: float = HOURS,
    job: JobView | None = None,
    before: ReportView | None = None,
) -> Snapshot:
    """So many seconds into an attempt that had come far, what is seen of it now."""
    work = at_work(job, before or aged(report))
    pod = replace(work.pods[0], sidecar=container)
    return replace(later(work, seconds), pods=(pod,), reports={pod.uid: report})


@dataclass(frozen=True)
class Row:
    """What is seen, what the two conditions say, and words of the first one's message."""

    name: str
    seen: Snapshot
    running: tuple[str, str]
    healthy: tuple[str, str]
    says: tuple[str, ...] = ()


FIXED = a_job(checkpoint={**a_spec()["checkpoint"], "interval": "10m"}, stallTimeout="2h")
TOLD = {"ReportsSilent", "NotStepping", "NotRegistered", "CheckpointOverdue"}
COMMITTED, NONE_YET = ("True", "Committed"), ("Unknown", "NoneYet")
SILENT = ("Unknown", "ReportsSilent")
TABLE = (
    Row("all is well", seen(SAVED), ("True", "Training"), COMMITTED),
    Row(
        "silent for less than two minutes", seen(aged(SAVED, 119)), ("True", "Training"), COMMITTED
    ),
    Row(
        "silent for hours, the sidecar in a restart loop",
        seen(aged(SAVED, HOURS, HOURS, HOURS), LOOPING),
        SILENT,
        SILENT,
        ("nothing since 2026-03-01T12:00:00Z", "CrashLoopBackOff", "OOMKilled", "--previous"),
    ),
    Row(
        "the same while the loop has it up for a moment",
        seen(aged(SAVED, HOURS, HOURS, HOURS), replace(LOOPING, state="running", reason="")),
        SILENT,
        SILENT,
        ("CrashLoopBackOff", "OOMKilled"),
    ),
    Row(
        "silent, the sidecar runs: a network policy, an authority it does not know",
        seen(aged(SAVED, HOURS)),
        SILENT,
        SILENT,
        ("network policies", "kubectl logs digits-1-0 -c spot-sidecar"),
    ),
    Row(
        "silent, the sidecar ended and left a word",
        seen(
            aged(SAVED, HOURS),
            sidecar(
                "terminated",
                "Error",
                '{"version":1,"problem":{"kind":"StoreDenied","message":"403"}}',
                restarts=1,
            ),
        ),
        SILENT,
        SILENT,
        ("StoreDenied: 403", "Error"),
    ),
    Row(
        "silent, the sidecar cannot be created again",
        seen(aged(SAVED, HOURS), sidecar("waiting", "CreateContainerError", "no such device")),
        SILENT,
        SILENT,
        ("CreateContainerError", "no such device"),
    ),
    Row(
        "silent, whatever the last report said",
        seen(aged(replace(SAVED, state="Restoring"), HOURS)),
        SILENT,
        SILENT,
    ),
    Row(
        "no step for ten hours after many",
        seen(aged(SAVED, step=HOURS)),
        ("False", "NotStepping"),
        COMMITTED,
        ("no step after 120 since 2026-03-01T12:00:00Z", "set spec.stallTimeout", "kubectl logs"),
    ),
    Row(
        "no step for ten minutes",
        seen(aged(SAVED, step=10 * MINUTE)),
        ("False", "NotStepping"),
        COMMITTED,
    ),
    Row(
        "no step for nine minutes",
        seen(aged(SAVED, step=9 * MINUTE)),
        ("True", "Training"),
        COMMITTED,
    ),
    Row(
        "steps of a minute: twenty may be missing",
        seen(
            aged(
                replace(SAVED, interval=Interval(60.0, "Step", IntervalInputs(step_seconds=60.0))),
                step=19 * MINUTE,
            )
        ),
        ("True", "Training"),
        COMMITTED,
    ),
    Row(
        "no step, announced",
        seen(aged(replace(SAVED, busy="eval"), step=HOURS)),
        ("True", "Training"),
        COMMITTED,
    ),
    Row(
        "no step for seven hours, announced: an evaluation that hangs",
        seen(aged(replace(SAVED, busy="eval"), step=7 / 5 * HOURS), seconds=7 / 5 * HOURS),
        ("False", "NotStepping"),
        COMMITTED,
        ("no step after 120 since 2026-03-01T12:00:00Z", 'busy with "eval"', "delete the pod"),
    ),
    Row(
        "the same before its first step",
        seen(aged(a_report(step=0, busy=""), step=2 * HOURS), seconds=2 * HOURS, job=FIXED),
        ("False", "NotStepping"),
        NONE_YET,
        ("no step of its own", 'busy with "something"', "spec.stallTimeout does not count"),
    ),
    Row(
        "no step, announced a quarter of an hour ago",
        seen(aged(replace(SAVED, busy="eval"), step=15 * MINUTE)),
        ("True", "Training"),
        COMMITTED,
        ('busy with "eval"',),
    ),
    Row(
        "announced just now",
        seen(aged(replace(SAVED, busy="eval"), step=5 * MINUTE)),
        ("True", "Training"),
        COMMITTED,
    ),
    Row(
        "work that only an announced silence of seven hours holds",
        seen(aged(replace(SAVED, busy="eval"), commit=7 / 5 * HOURS), seconds=7 / 5 * HOURS),
        ("True", "Training"),
        ("False", "CheckpointOverdue"),
    ),
    Row(
        "no step, and the job ends such attempts later",
        seen(aged(SAVED, step=HOURS / 5), job=FIXED),
        ("False", "NotStepping"),
        COMMITTED,
        ("ended as Stalled at 2026-03-01T18:00:00Z",),
    ),
    Row(
        "no step ever, though it has its state",
        seen(aged(a_report(step=0), step=HOURS)),
        ("False", "NotStepping"),
        NONE_YET,
        ("no step of its own since 2026-03-01T12:00:00Z",),
    ),
    Row(
        "no step ever, and a stallTimeout that does not count yet",
        seen(aged(a_report(step=0), step=HOURS), job=FIXED),
        ("False", "NotStepping"),
        NONE_YET,
        ("counts from the first step", "delete the pod"),
    ),
    Row(
        "no step of its own after a resume",
        seen(aged(resumed_from(a_commit(0, 500)), step=HOURS)),
        ("False", "NotStepping"),
        ("True", "Committed"),
        ("no step of its own",),
    ),
    Row(
        "its first step may take half an hour",
        seen(aged(a_report(step=0), step=29 * MINUTE)),
        ("False", "Starting"),
        NONE_YET,
        ("made no step yet",),
    ),
    Row(
        "resuming is no step",
        seen(aged(resumed_from(a_commit(0, 500)), step=MINUTE)),
        ("False", "Starting"),
        ("True", "Committed"),
    ),
    Row(
        "the SDK is never called",
        seen(aged(NEW, step=HOURS)),
        ("Unknown", "NotRegistered"),
        ("Unknown", "NotRegistered"),
        ("never called the SDK", "spot_training.resume()", "checkpoint.source.directory"),
    ),
    Row(
        "the SDK is not called yet",
        seen(aged(NEW, step=9 * MINUTE)),
        ("False", "Starting"),
        NONE_YET,
    ),
    Row(
        "the SDK is not called yet: the image took hours, the trainer began just now",
        seen(aged(NEW, step=HOURS), seconds=MINUTE),
        ("False", "Starting"),
        NONE_YET,
    ),
    Row(
        "it called the SDK, and waits for ever for its state",
        seen(aged(replace(NEW, registered=True), step=HOURS)),
        ("False", "NotStepping"),
        NONE_YET,
        ("no step of its own since 2026-03-01T12:00:00Z",),
    ),
    Row(
        "restoring takes its time",
        seen(aged(replace(NEW, state="Restoring", registered=True), step=HOURS)),
        ("False", "Restoring"),
        NONE_YET,
    ),
    Row(
        "a checkpoint is due every minute, and none came for six",
        seen(aged(SAVED, commit=6 * MINUTE)),
        ("True", "Training"),
        ("False", "CheckpointOverdue"),
    ),
    Row(
        "none came for four",
        seen(aged(SAVED, commit=4 * MINUTE)),
        ("True", "Training"),
        COMMITTED,
    ),
    Row(
        "none came for hours, and there is nothing to save",
        seen(aged(replace(SAVED, step=100), step=MINUTE, commit=HOURS)),
        ("True", "Training"),
        COMMITTED,
    ),
    Row(
        "none is due amid an announced silence",
        seen(aged(replace(SAVED, busy="eval"), commit=HOURS)),
        ("True", "Training"),
        COMMITTED,
    ),
    Row(
        "a fixed interval is in force before anything is measured",
        seen(aged(a_report(), commit=31 * MINUTE), job=FIXED),
        ("True", "Training"),
        NONE_YET,
    ),
    Row(
        "and is missed",
        seen(aged(a_report(), commit=32 * MINUTE), job=FIXED),
        ("True", "Training"),
        ("False", "CheckpointOverdue"),
    ),
    Row(
        "nothing is known of the interval: an hour is the longest",
        seen(aged(a_report(), commit=3.1 * 3600)),
        ("True", "Training"),
        ("False", "CheckpointOverdue"),
    ),
    Row(
        "what the sidecar names itself comes first",
        seen(aged(replace(SAVED, problem=Problem("StoreUnreachable", "timeout")), commit=HOURS)),
        ("True", "Training"),
        ("False", "StoreUnreachable"),
    ),
    Row(
        "a script is not asked for steps",
        seen(aged(a_report(step=0), step=HOURS, commit=HOURS), job=SCRIPT),
        ("True", "Training"),
        NONE_YET,
    ),
    Row(
        "but for a checkpoint in six hours",
        seen(aged(a_report(step=0), step=HOURS, commit=6 * 3600.0), job=SCRIPT),
        ("True", "Training"),
        ("False", "CheckpointOverdue"),
    ),
    Row("a script's sidecar is silent", seen(aged(a_report(), HOURS), job=SCRIPT), SILENT, SILENT),
)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_what_is_seen_is_what_is_told(row: Row) -> None:
    ledger = persisted(row.seen).ledger
    running_, healthy = the_condition(ledger, RUNNING), the_condition(ledger, HEALTHY)
    assert (running_.status, running_.reason) == row.running, running_.message
    assert (healthy.status, healthy.reason) == row.healthy, healthy.message
    assert [word for word in row.says if word not in running_.message] == [], running_.message


@pytest.mark.parametrize(
    "row",
    [row for row in TABLE if {row.running[1], row.healthy[1]} & TOLD],
    ids=lambda row: row.name,
)
def test_what_is_told_does_not_move_by_itself(row: Row) -> None:
    """Half an hour and some later, everything as before but for its age: nothing is written."""
    told = persisted(row.seen)
    report = told.reports[POD.uid]
    grown = replace(
        report,
        age=report.age + 1800.4 if report.age > MINUTE else report.age,
        step_age=report.step_age + 1800.4 if report.step_age > MINUTE else report.step_age,
        commit_age=report.commit_age + 1800.4 if report.commit_age > MINUTE else 0.0,
    )
    expect_rest(replace(later(told, 1800.4), reports={POD.uid: grown}))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_the_next_leader_says_the_same_until_it_has_listened_itself(row: Row) -> None:
    told = persisted(row.seen)
    nodes = tuple(told.nodes.values())
    deaf = replace(later(told, 30), reports={}, visibility=seeing(*nodes, leading_for=30.0))
    expect_rest(deaf)
    bounded = persisted(
        replace(later(deaf, 95), visibility=seeing(*nodes, leading_for=125.0), reports={})
    )
    assert the_condition(bounded.ledger, RUNNING).reason == "ReportsSilent"


@pytest.mark.parametrize(
    "row", [row for row in TABLE if row.running[0] != "True"], ids=lambda row: row.name
)
def test_a_step_ends_what_was_told(row: Row) -> None:
    told = persisted(row.seen)
    well = persisted(replace(later(told, 1), reports={POD.uid: replace(SAVED, step=501)}))
    assert the_condition(well.ledger, RUNNING).reason == "Training"
    assert the_condition(well.ledger, HEALTHY).reason == "Committed"
    rank = the_rank(well.ledger)
    assert (rank.silent_since, rank.still, rank.unsaved) == (None, None, None)


@pytest.mark.parametrize(
    ("row", "event"),
    [(row, event) for row in TABLE for event in (row.running[1], row.healthy[1]) if event in TOLD],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_it_is_told_once_as_an_event(row: Row, event: str) -> None:
    made = plan(row.seen)
    assert [one.type for one in made.events if one.reason == event] == ["Warning"]
    assert made.urgent
    assert not any(one.reason == event for one in plan(persisted(row.seen)).events)


@pytest.mark.parametrize(
    ("start", "reason", "at"),
    [
        (seen(aged(SAVED, 61), seconds=0), "ReportsSilent", 59.0),
        (seen(aged(SAVED), seconds=0), "NotStepping", 599.5),
        (seen(aged(a_report(step=0)), seconds=0), "NotStepping", 1799.5),
        (seen(aged(NEW), seconds=0), "NotRegistered", 600.0),
        (seen(aged(replace(SAVED, busy="eval")), seconds=0), "NotStepping", 21_599.5),
    ],
)
def test_somebody_looks_when_a_threshold_passes(start: Snapshot, reason: str, at: float) -> None:
    for passed, now in walked(start, at + 60):
        found = the_condition(now.ledger, RUNNING)
        if found.reason == reason:
            assert passed == pytest.approx(at, abs=1.0)
            return
    raise AssertionError(f"{reason} is never told")


def test_somebody_looks_when_an_announced_silence_is_worth_a_word() -> None:
    for passed, now in walked(seen(aged(replace(SAVED, busy="eval")), seconds=0), 700):
        if "eval" in the_condition(now.ledger, RUNNING).message:
            assert passed == pytest.approx(599.5, abs=1.0)
            return
    raise AssertionError("it is never told")


@pytest.mark.parametrize("then", [None, "export"])
def test_another_phase_begins_to_count_anew(then: str | None) -> None:
    hung = aged(replace(SAVED, busy="eval"), step=7 / 5 * HOURS, commit=7 / 5 * HOURS)
    told = persisted(seen(hung, seconds=7 / 5 * HOURS))
    anew = persisted(replace(later(told, 1), reports={POD.uid: aged(replace(hung, busy=then))}))
    assert the_condition(anew.ledger, RUNNING).reason == "Training"
    assert the_condition(anew.ledger, HEALTHY).reason == "Committed"


def test_somebody_looks_when_a_checkpoint_is_overdue() -> None:
    stepping = seen(aged(replace(SAVED, busy=None), step=0.5), seconds=0)
    for passed, now in walked(stepping, 400):
        if the_condition(now.ledger, HEALTHY).reason == "CheckpointOverdue":
            assert passed == pytest.approx(300, abs=1.0)
            return
    raise AssertionError("it is never told")


def test_without_fresh_eyes_nothing_is_found() -> None:
    blind = replace(seen(aged(SAVED, HOURS)), visibility=seeing(fresh=False))
    assert the_condition(persisted(blind).ledger, RUNNING).reason == "Training"


def test_the_summary_does_not_take_silence_for_health() -> None:
    silent = persisted(seen(aged(SAVED, HOURS)))
    still = persisted(seen(aged(SAVED, step=HOURS)))
    says = [the_condition(one.ledger, Condition.SUCCEEDED).message for one in (silent, still)]
    assert says == [
        "attempt 1 is under way, but its sidecar has reported nothing since 2026-03-01T12:00:00Z",
        "attempt 1 is under way, but it has made no step since 2026-03-01T12:00:00Z",
    ]


@pytest.mark.parametrize(
    ("report", "status", "reason"),
    [
        (SAVED, "True", "WithinBound"),
        (aged(SAVED, HOURS), "Unknown", "ReportsSilent"),
        (aged(SAVED, commit=HOURS), "False", "CheckpointOverdue"),
    ],
)
def test_no_bound_of_lost_work_is_promised_beside_silence(
    report: ReportView, status: str, reason: str
) -> None:
    measured = Interval(
        60.0, "Optimum", IntervalInputs(stall_seconds=0.5, commit_latency_seconds=20.0)
    )
    job = a_job(checkpoint={**a_spec()["checkpoint"], "maxLostWork": "10m"})
    known = replace(report, interval=measured)
    told = persisted(seen(known, job=job, before=replace(SAVED, interval=measured)))
    found = the_condition(told.ledger, Condition.LOSS_BOUND_FEASIBLE)
    assert (found.status, found.reason) == (status, reason)


# The node beside the silence.


def on(node: NodeView) -> Snapshot:
    silent = seen(aged(SAVED, HOURS))
    others = tuple(a_node(f"node-{k}") for k in (2, 3))
    nodes = {one.name: one for one in (node, *others)}
    return replace(silent, nodes=nodes, visibility=seeing(node, *others))


def test_a_dead_runtime_beside_a_living_kubelet_is_told_and_not_restarted() -> None:
    ready = ConditionView("Ready", "False", "KubeletNotReady", "PLEG was seen 3m ago", after(60))
    node = a_node(ready=False, ready_reason="KubeletNotReady", conditions=(ready,))
    told = persisted(on(node))
    found = the_condition(told.ledger, RUNNING)
    assert (found.status, found.reason) == ("Unknown", "ReportsSilent")
    assert "Node node-1 is not ready since 2026-03-01T12:01:00Z (KubeletNotReady)" in found.message
    assert "3m ago" not in found.message
    assert "reboot" in found.message
    assert persisted(later(told, 86_400)).ledger.attempt == 1
    assert told.ledger.state is State.CREATED


def test_a_silent_node_is_told_while_its_loss_is_not_certain() -> None:
    node = a_node(lease_age=60.0)
    silent = seen(aged(SAVED, 130))
    alone = replace(silent, nodes={"node-1": node}, visibility=seeing(node))
    found = the_condition(persisted(alone).ledger, RUNNING)
    assert (found.status, found.reason) == ("Unknown", "ReportsSilent")
    assert "Node node-1 is silent too" in found.message


def test_what_was_true_of_one_attempt_is_not_said_of_the_next() -> None:
    silent = persisted(seen(aged(SAVED, HOURS)))
    rebooted = replace(silent, nodes={**silent.nodes, "node-1": a_node(boot_id="boot-2-of-node-1")})
    after_it = persisted(replace(rebooted, pods=(), reports={}))
    assert after_it.ledger.attempts[0].ending == "NodeLost"
    healthy = the_condition(after_it.ledger, HEALTHY)
    assert (healthy.status, healthy.reason) == ("Unknown", "NoReport")
    assert "step 100" in healthy.message
