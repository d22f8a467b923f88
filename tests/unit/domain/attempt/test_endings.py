"""Why an attempt ended: the table, row by row, and what comes before what."""

from dataclasses import replace
from typing import Any

import pytest
from kit.builders import (
    a_job,
    a_node,
    a_notice,
    a_pod,
    a_report,
    a_snapshot,
    a_word,
    after,
    at_work,
    bound,
    disrupted,
    exited,
    expect_ending,
    expect_write,
    gone,
    later,
    persisted,
    running,
    saying,
    seeing,
    terminating,
    the_condition,
)
from kit.jobs import with_prepare
from spot_operator.api.names import Condition, State
from spot_operator.domain.observed.elapsed import placed
from spot_operator.domain.observed.snapshot import (
    NodeView,
    PodView,
    Problem,
    ReportView,
    ResumeReport,
    TaintView,
    Visibility,
)
from spot_operator.domain.state.ledger import Charge

Changes = dict[str, Any]
POD = running(a_pod())
PREEMPT = a_notice("Preempt")
INTERRUPTION, FAILURE = Charge.INTERRUPTION, Charge.FAILURE


def reporting(**changes: Any) -> dict[str, ReportView]:
    return {POD.uid: a_report(**changes)}


def rejected(reason: str) -> PodView:
    return replace(bound(a_pod()), phase="Failed", reason=reason, message="no room")


def nodes(*first: NodeView) -> dict[str, NodeView]:
    return {one.name: one for one in (*first, a_node("node-2"), a_node("node-3"))}


def silent() -> Changes:
    silenced = a_node(lease_age=60.0)
    there = nodes(silenced)
    return {"nodes": there, "visibility": seeing(*there.values()), "reports": reporting(age=60.0)}


SILENT_BEFORE = Visibility(fresh=True, leading_for=3600.0, leases={"node-1": (2.0, 75.0, 85.0)})
"""The node's lease was renewed 2 s ago, after 73 s without a renewal."""

CASES: dict[str, tuple[Changes, str, Charge | None]] = {
    "the trainer said so": (
        {"pods": (exited(POD, 0),), "reports": reporting(word=a_word("Finished"))},
        "Completed",
        None,
    ),
    "its last words said so": (
        {"pods": (saying(exited(POD, 0), word="Finished"),)},
        "Completed",
        None,
    ),
    "it had said so before its node was removed": (
        {"nodes": nodes(), "reports": reporting(word=a_word("Finished"))},
        "Completed",
        None,
    ),
    "paused after a notice": (
        {
            "pods": (exited(POD, 0),),
            "reports": reporting(word=a_word("Paused"), notice=PREEMPT),
        },
        "Paused",
        INTERRUPTION,
    ),
    "paused, the notice only in its last words": (
        {
            "pods": (
                saying(
                    exited(POD, 0),
                    word="Paused",
                    notice={
                        "kind": "PodDeletion",
                        "deadline": None,
                        "source": "drain",
                        "observedAt": "2026-03-01T12:00:00Z",
                    },
                ),
            )
        },
        "Paused",
        INTERRUPTION,
    ),
    "failed near a preemption": (
        {"pods": (exited(POD, 1, at=after(100)),), "reports": reporting(notice=PREEMPT)},
        "Preempted",
        INTERRUPTION,
    ),
    "its node was removed": ({"nodes": nodes()}, "Preempted", INTERRUPTION),
    "its node was shut down": (
        {"pods": (replace(exited(POD, 143), reason="Terminated"),)},
        "Preempted",
        INTERRUPTION,
    ),
    "the kubelet disrupted it": (
        {"pods": (disrupted(exited(POD, 143), "TerminationByKubelet"),)},
        "Preempted",
        INTERRUPTION,
    ),
    "the collector found its node gone": (
        {"pods": (gone(disrupted(replace(POD, phase="Failed"), "DeletionByPodGC")),)},
        "Preempted",
        INTERRUPTION,
    ),
    "its node went silent": (silent(), "NodeLost", INTERRUPTION),
    "its node rebooted, whatever the exit code": (
        {"pods": (exited(POD, 0),), "nodes": nodes(a_node(boot_id="boot-2"))},
        "NodeLost",
        INTERRUPTION,
    ),
    "its node was replaced": ({"nodes": nodes(a_node(uid="other"))}, "NodeLost", INTERRUPTION),
    "its node was put out of service": (
        {
            "nodes": nodes(
                a_node(taints=(TaintView("node.kubernetes.io/out-of-service", "nodeshutdown"),))
            )
        },
        "NodeLost",
        INTERRUPTION,
    ),
    "somebody deleted it": (
        {"pods": (gone(terminating(exited(POD, 143))),)},
        "Deleted",
        INTERRUPTION,
    ),
    "evicted by a drain": (
        {"pods": (disrupted(terminating(exited(POD, 143)), "EvictionByEvictionAPI"),)},
        "Evicted",
        INTERRUPTION,
    ),
    "evicted by a taint": (
        {"pods": (disrupted(terminating(exited(POD, 143)), "DeletionByTaintManager"),)},
        "Evicted",
        INTERRUPTION,
    ),
    "evicted under pressure": (
        {"pods": (disrupted(replace(exited(POD, 137), reason="Evicted"), "TerminationByKubelet"),)},
        "Evicted",
        INTERRUPTION,
    ),
    "preempted by the scheduler": (
        {"pods": (disrupted(terminating(exited(POD, 143)), "PreemptionByScheduler"),)},
        "SchedulerPreempted",
        INTERRUPTION,
    ),
    "preempted for a critical pod": (
        {
            "pods": (
                disrupted(replace(exited(POD, 143), reason="Preempting"), "TerminationByKubelet"),
            )
        },
        "SchedulerPreempted",
        INTERRUPTION,
    ),
    "the kubelet ran it twice": (
        {"pods": (saying(exited(POD, 94), word="Resurrected"),)},
        "Resurrected",
        INTERRUPTION,
    ),
    "its own container starts it again for ever": (
        {"pods": (saying(exited(POD, 1), word="StartedAgain"),)},
        "TrainerFailed",
        FAILURE,
    ),
    "two checkpoints failed on its node": (
        {"pods": (saying(exited(POD, 94), word="BadNode"),)},
        "BadNode",
        INTERRUPTION,
    ),
    "out of memory": ({"pods": (exited(POD, 137, "OOMKilled"),)}, "OutOfMemory", FAILURE),
    "its command does not exist": (
        {"pods": (exited(POD, 128, "StartError", "exec: no such file"),)},
        "StartFailed",
        FAILURE,
    ),
    "no checkpoint is valid": (
        {"pods": (saying(exited(POD, 94), word="NoValidCheckpoint", reason="3 are corrupt"),)},
        "NoValidCheckpoint",
        None,
    ),
    "no checkpoint is valid, known by the problem": (
        {
            "pods": (exited(POD, 94),),
            "reports": reporting(problem=Problem("NoValidCheckpoint", "bucket is empty")),
        },
        "NoValidCheckpoint",
        None,
    ),
    "the trainer refused by its word": (
        {"pods": (exited(POD, 1),), "reports": reporting(word=a_word("Refused", "bad config"))},
        "TrainerRefused",
        None,
    ),
    "the trainer refused by its exit code": ({"pods": (exited(POD, 93),)}, "TrainerRefused", None),
    "the trainer failed": (
        {"pods": (exited(POD, 1, message="ValueError: loss is nan"),)},
        "TrainerFailed",
        FAILURE,
    ),
    "exit 0 without the marker": ({"pods": (exited(POD, 0),)}, "TrainerFailed", FAILURE),
    "killed by somebody on its node": ({"pods": (exited(POD, 137),)}, "Unknown", INTERRUPTION),
    "an hour's maintenance excuses no crash": (
        {
            "pods": (exited(POD, 1),),
            "reports": reporting(notice=a_notice("Maintenance", deadline=3600)),
        },
        "TrainerFailed",
        FAILURE,
    ),
    "an old notice excuses no crash": (
        {
            "now": after(401),
            "pods": (exited(POD, 1, at=after(400)),),
            "reports": reporting(notice=PREEMPT),
        },
        "TrainerFailed",
        FAILURE,
    ),
    "superseded": (
        {"pods": (saying(exited(POD, 94), word="Superseded"),)},
        "Unknown",
        INTERRUPTION,
    ),
    "stopped by a sidecar whose word is lost": (
        {"pods": (exited(POD, 94),)},
        "Unknown",
        INTERRUPTION,
    ),
    "a disruption of a kind that nobody knows": (
        {"pods": (disrupted(terminating(exited(POD, 143)), "SomeControllersOwn"),)},
        "Unknown",
        INTERRUPTION,
    ),
    "a disruption without a reason": (
        {"pods": (disrupted(exited(POD, 1), ""),)},
        "Unknown",
        INTERRUPTION,
    ),
    "a pod reason that nobody knows": (
        {"pods": (replace(exited(POD, 1), reason="SomeProvidersOwn"),)},
        "Unknown",
        INTERRUPTION,
    ),
    "a device of it is sick": (
        {"pods": (disrupted(terminating(exited(POD, 1)), "DeletionByDeviceTaintManager"),)},
        "Evicted",
        INTERRUPTION,
    ),
    "evicted for its own limit": (
        {
            "pods": (
                replace(
                    exited(POD, 137),
                    reason="Evicted",
                    message='Usage of EmptyDir volume "scratch" exceeds the limit "1Gi". ',
                ),
            )
        },
        "OutOfStorage",
        FAILURE,
    ),
    "a kubelet that restarted refuses it": (
        {
            "pods": (
                replace(
                    bound(a_pod()),
                    phase="Failed",
                    reason="NodeAffinity",
                    message="Pod was rejected: Predicate NodeAffinity failed",
                ),
            )
        },
        "AdmissionRejected",
        None,
    ),
    "its runtime lost it": ({"pods": (exited(POD, 255, "Unknown"),)}, "Unknown", INTERRUPTION),
    "its runtime knows no exit code": ({"pods": (exited(POD, -1),)}, "Unknown", INTERRUPTION),
    "out of memory, one process of several": (
        {"pods": (exited(POD, 9, "OOMKilled"),)},
        "OutOfMemory",
        FAILURE,
    ),
    "over, without a word of its containers": (
        {"pods": (replace(bound(a_pod()), phase="Failed"),)},
        "Unknown",
        INTERRUPTION,
    ),
    "its node was silent just before": (
        {"pods": (exited(POD, 7),), "visibility": SILENT_BEFORE, "seen": {placed(POD): 600.0}},
        "Unknown",
        INTERRUPTION,
    ),
    "its node was silent before it was bound there": (
        {"pods": (exited(POD, 7),), "visibility": SILENT_BEFORE, "seen": {placed(POD): 1.5}},
        "TrainerFailed",
        FAILURE,
    ),
    "the kubelet forgot": (
        {"pods": (exited(POD, 137, "ContainerStatusUnknown"),)},
        "Unknown",
        INTERRUPTION,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_ending_is_told_by_its_evidence(name: str) -> None:
    changes, ending, charged = CASES[name]
    ledger = expect_write(replace(at_work(a_job(template=with_prepare())), **changes))
    record = expect_ending(ledger, ending)
    assert record.charged is charged
    assert record.message
    assert ledger.state is not State.STOPPING


@pytest.mark.parametrize(
    "reason", ["OutOfcpu", "OutOfnvidia.com/gpu", "NodeAffinity", "UnexpectedAdmissionError"]
)
def test_a_pod_that_the_kubelet_refuses_costs_nothing_and_avoids_the_node(reason: str) -> None:
    created = persisted(a_snapshot())
    ledger = expect_write(replace(created, pods=(rejected(reason),)))
    assert expect_ending(ledger, "AdmissionRejected").charged is None
    assert [one.node.name for one in ledger.excluded] == ["node-1"]


def test_a_marker_of_an_earlier_attempt_completes_the_job() -> None:
    starting = at_work(report=a_report(state="Waiting", resume=None, step=0))
    found = reporting(resume=ResumeReport("completed"), step=0)
    ledger = expect_write(replace(starting, pods=(exited(POD, 0),), reports=found))
    expect_ending(ledger, "Completed")


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ('Usage of EmptyDir volume "scratch" exceeds the limit "1Gi". ', "the volume's sizeLimit"),
        (
            'Usage of EmptyDir volume "spot-shared" exceeds the limit "1Gi". ',
            "checkpoint.staging.sizeLimit",
        ),
    ],
)
def test_who_wrote_too_much_is_told_which_limit_to_raise(message: str, remedy: str) -> None:
    pod = replace(exited(POD, 137), reason="Evicted", message=message)
    work = at_work(a_job(template=with_prepare()))
    record = expect_ending(expect_write(replace(work, pods=(pod,))), "OutOfStorage")
    assert remedy in record.message
    assert message.strip(". ") in record.message
    assert record.loss is None, "it says nothing of the capacity"


def test_a_running_pod_that_a_kubelet_refuses_lost_its_place() -> None:
    refused = replace(
        bound(a_pod()),
        phase="Failed",
        reason="UnexpectedAdmissionError",
        message="Pod was rejected: Allocate failed",
    )
    record = expect_ending(expect_write(replace(at_work(), pods=(refused,))), "AdmissionRejected")
    assert (record.charged, record.loss) == (None, "Lost")


EXIT_CODE = a_job(completion="ExitCode")


@pytest.mark.parametrize(
    ("changes", "ending"),
    [
        ({"pods": (exited(POD, 0),)}, "Completed"),
        ({"pods": (exited(POD, 1),)}, "TrainerFailed"),
        ({"pods": (exited(POD, 0, "OOMKilled"),)}, "OutOfMemory"),
        ({"pods": (exited(POD, 0),), "reports": reporting(notice=PREEMPT)}, "Preempted"),
        (
            {
                "now": after(901),
                "pods": (exited(POD, 0, at=after(900)),),
                "reports": reporting(notice=PREEMPT),
            },
            "Unknown",
        ),
        (
            {"pods": (exited(POD, 0),), "reports": reporting(notice=a_notice("PodDeletion"))},
            "Unknown",
        ),
        (
            {"pods": (exited(POD, 0),), "reports": reporting(notice=a_notice("Maintenance"))},
            "Completed",
        ),
        ({"pods": (terminating(exited(POD, 0)),)}, "Deleted"),
        ({"pods": (disrupted(exited(POD, 0), "EvictionByEvictionAPI"),)}, "Evicted"),
        ({"pods": (exited(POD, 0),), "nodes": nodes(a_node(boot_id="boot-2"))}, "NodeLost"),
    ],
)
def test_exit_0_counts_only_of_a_trainer_that_nobody_told_to_end(
    changes: Changes, ending: str
) -> None:
    ledger = expect_write(replace(at_work(EXIT_CODE), **changes))
    expect_ending(ledger, ending)


def test_exit_0_after_our_own_stop_is_no_success() -> None:
    suspended = a_job(completion="ExitCode", suspend=True)
    stopping = persisted(replace(at_work(EXIT_CODE), job=suspended))
    ledger = expect_write(replace(stopping, pods=(exited(POD, 0, at=after(1)),)))
    expect_ending(ledger, "Suspended")
    assert ledger.state is State.WAITING


def test_our_cause_yields_to_completed() -> None:
    stopping = persisted(replace(at_work(), job=a_job(suspend=True)))
    done = replace(
        later(stopping, 5),
        pods=(exited(POD, 0),),
        reports=reporting(word=a_word("Finished")),
    )
    ledger = expect_write(done)
    expect_ending(ledger, "Completed")
    assert the_condition(ledger, Condition.SUCCEEDED).status == "True"


@pytest.mark.parametrize(
    ("code", "reason"),
    [(93, "TrainerRefused"), (94, "NoValidCheckpoint")],
)
def test_final_endings_make_no_further_attempt(code: int, reason: str) -> None:
    pod = saying(exited(POD, code), word="NoValidCheckpoint" if code == 94 else None)
    ledger = expect_write(replace(at_work(), pods=(pod,)))
    assert ledger.state is State.FINISHED
    verdict = the_condition(ledger, Condition.SUCCEEDED)
    assert (verdict.status, verdict.reason) == ("False", reason)


@pytest.mark.parametrize("away", [120, -120, 36_000, -36_000])
def test_a_notice_explains_an_end_whatever_the_nodes_clock_says(away: int) -> None:
    """Sidecar and kubelet share the node's clock; the deadline is the cloud's, ours is our own."""
    notice = a_notice(observed=away, deadline=120)
    dated = after(110 + away)
    ended = replace(later(at_work(), 112), pods=(exited(POD, 1, at=dated),))
    ledger = expect_write(replace(ended, reports=reporting(notice=notice)))
    expect_ending(ledger, "Preempted")


def test_a_clock_set_back_between_notice_and_end_hides_nothing() -> None:
    ended = replace(later(at_work(), 112), pods=(exited(POD, 1, at=after(-490)),))
    expect_ending(expect_write(replace(ended, reports=reporting(notice=PREEMPT))), "Preempted")


def test_blindness_hides_fences() -> None:
    blind = Visibility(fresh=False, leading_for=3600.0)
    unseen = replace(at_work(), nodes={}, visibility=blind)
    assert persisted(unseen).ledger.state is State.CREATED
