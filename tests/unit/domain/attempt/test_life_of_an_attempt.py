"""From the number that is taken to the ending that is recorded: the ledger rule, invariant I1."""

from dataclasses import replace
from datetime import timedelta

import pytest
from kit.builders import (
    a_default_policy,
    a_job,
    a_node,
    a_notice,
    a_pod,
    a_report,
    a_snapshot,
    after,
    at_work,
    bound,
    exited,
    expect_actions,
    expect_ending,
    expect_rest,
    expect_write,
    gone,
    later,
    persisted,
    running,
    seeing,
    terminating,
    the_condition,
    the_current,
    the_rank,
)
from spot_operator.api.names import ANNOTATION_NODE, ANNOTATION_NOTICE, Condition, State
from spot_operator.domain.actions import AnnotatePod, CreatePod, DeletePod, Plan
from spot_operator.domain.attempt.pod_refusals import not_asked_for
from spot_operator.domain.observed.snapshot import Refusal, Snapshot, TaintView
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import Ledger

POD = running(a_pod())
UID = POD.uid


def created(**changes: object) -> Snapshot:
    """Attempt 1 persisted; its pod asked for, not seen."""
    return replace(persisted(a_snapshot()), **changes)  # type: ignore[arg-type]


def names(snapshot: Snapshot) -> list[str]:
    return [type(one).__name__ for one in plan(snapshot).actions]


def test_the_number_is_persisted_before_the_first_pod() -> None:
    first = plan(a_snapshot())
    assert first.ledger is not None
    assert (first.ledger.attempt, first.ledger.state, first.urgent) == (1, State.CREATING, True)
    (create,) = expect_actions(created())
    assert isinstance(create, CreatePod)
    assert (create.attempt, create.rank, create.grant.attempt) == (1, 0, 1)
    assert create.grant.newest is None


def test_a_plan_with_a_write_and_an_action_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="either persists a ledger or acts"):
        Plan(ledger=Ledger(), actions=(DeletePod("a", "b", None, "c"),))


def test_once_seen_the_pods_of_an_attempt_are_never_created_again() -> None:
    seen = persisted(created(pods=(a_pod(),)))
    assert seen.ledger.state is State.CREATED
    assert the_rank(seen.ledger).uid == UID
    vanished = persisted(replace(later(seen, 1), pods=()))
    assert vanished.ledger.state is State.STOPPING
    assert names(vanished) == []


def test_the_node_is_recorded_then_annotated() -> None:
    pod = replace(bound(a_pod()), node_identity=None)
    seen = persisted(created(pods=(pod,)))
    assert the_rank(seen.ledger).node == a_node().identity
    (action,) = expect_actions(seen)
    assert isinstance(action, AnnotatePod)
    assert action.annotations == {
        ANNOTATION_NODE: '{"name":"node-1","uid":"uid-of-node-1","bootID":"boot-1-of-node-1"}'
    }
    expect_rest(replace(seen, pods=(bound(a_pod()),)))


def test_a_signal_of_the_node_is_annotated_once() -> None:
    leaving = a_node(taints=(TaintView("cloud.google.com/impending-node-termination"),))
    warned = replace(at_work(), nodes={"node-1": leaving})
    (action,) = expect_actions(warned)
    assert isinstance(action, AnnotatePod)
    assert action.annotations[ANNOTATION_NOTICE].startswith(
        '{"kind":"Preempt","deadline":"2026-03-01T12:00:30Z","source":"operator"'
    )
    told = replace(POD, notice=a_notice(deadline=30, source="operator"))
    noted = persisted(replace(warned, pods=(told,)))
    assert the_rank(noted.ledger).notice == told.notice
    expect_rest(noted)
    expect_rest(later(noted, 20))


def test_a_graver_signal_replaces_a_lighter_notice() -> None:
    leaving = a_node(taints=(TaintView("ToBeDeletedByClusterAutoscaler"),))
    for kind, told in (("Rebalance", True), ("Maintenance", True), ("Preempt", False)):
        pod = replace(POD, notice=a_notice(kind))  # type: ignore[arg-type]
        warned = persisted(replace(at_work(), nodes={"node-1": leaving}, pods=(pod,)))
        assert bool(plan(warned).actions) is told, kind


def test_a_pod_that_ends_while_we_were_away_is_not_forgotten() -> None:
    ledger = expect_write(created(pods=(gone(exited(a_pod(), 1)),)))
    expect_ending(ledger, "TrainerFailed")


def test_an_absent_pod_counts_as_ended_after_its_grace_and_more() -> None:
    absent = persisted(replace(later(at_work(), 10), pods=(), reports={}))
    assert absent.ledger.state is State.STOPPING
    assert absent.ledger.stopping is not None
    assert absent.ledger.stopping.cause is None
    expect_rest(later(absent, 159))
    expect_ending(expect_write(later(absent, 160)), "Unknown")


def test_an_absent_pod_counts_as_ended_at_once_when_its_node_is_fenced() -> None:
    there = {"node-2": a_node("node-2")}
    ledger = expect_write(replace(at_work(), pods=(), nodes=there))
    expect_ending(ledger, "Preempted")


def test_a_pod_removed_by_force_may_still_run_for_its_grace() -> None:
    forced = persisted(replace(at_work(), pods=(gone(POD),)))
    assert forced.ledger.state is State.STOPPING
    expect_rest(later(forced, 159))
    expect_ending(expect_write(later(forced, 160)), "Deleted")


def test_a_pod_deleted_before_it_was_bound_never_ran() -> None:
    waiting = persisted(created(pods=(a_pod(),)))
    ledger = expect_write(replace(waiting, pods=(gone(a_pod()),)))
    expect_ending(ledger, "Deleted")


def test_a_pod_that_may_have_been_bound_before_its_end_may_still_run() -> None:
    """A list lacks it: what became of it since it was seen is not known."""
    waiting = persisted(created(pods=(a_pod(),)))
    missed = persisted(replace(waiting, pods=(replace(gone(a_pod()), node_name=""),)))
    assert missed.ledger.state is State.STOPPING
    expect_rest(later(missed, 159))
    expect_ending(expect_write(later(missed, 160)), "Deleted")


def test_a_pod_on_its_way_out_is_waited_for() -> None:
    draining = replace(at_work(), pods=(terminating(POD),))
    assert persisted(draining).ledger.state is State.CREATED


def test_a_name_taken_by_somebody_else_costs_a_number_and_nothing_more() -> None:
    taken = created(foreign=frozenset({"digits-1-0"}))
    ledger = expect_write(taken)
    assert (ledger.attempt, ledger.state) == (2, State.CREATING)
    record = expect_ending(ledger, "NotPlaced")
    assert record.charged is None
    assert "digits-1-0 exists already" in record.message


def test_names_that_are_all_taken_are_tried_ever_more_slowly() -> None:
    snapshot = created(foreign=frozenset(f"digits-{n}-0" for n in range(1, 9)))
    snapshot = replace(snapshot, policies=(a_default_policy(),))
    waits = []
    while snapshot.ledger.attempt < 5:
        snapshot = persisted(snapshot)
        assert snapshot.ledger.not_before is not None
        wait = snapshot.ledger.not_before - snapshot.now
        waits.append(wait.total_seconds())
        snapshot = later(snapshot, wait.total_seconds())
    assert waits == [10, 20, 40, 80]


@pytest.mark.parametrize(
    ("message", "helps"),
    [
        (
            (
                'Pod "digits-1-0" is invalid: spec.initContainers[0].resources.requests: Invalid '
                'value: "100m": must be less than or equal to cpu limit of 50m'
            ),
            "sidecar.cpuLimit",
        ),
        ("the server does not like it", "does not like it"),
    ],
)
def test_a_pod_that_another_template_would_not_mend_is_waited_for(message: str, helps: str) -> None:
    """The sidecar's request is not the template's: no failure is charged, and it is told whose."""
    waiting = persisted(created(refusal=Refusal("digits-1-0", 422, message)))
    assert waiting.ledger.state is State.CREATING
    summary = the_condition(waiting.ledger, Condition.SUCCEEDED)
    assert summary.reason == "PodsRefused"
    assert helps in summary.message
    assert "spec.template" not in summary.message


def test_a_pod_that_can_never_be_created_is_a_failure() -> None:
    refused = created(refusal=Refusal("digits-1-0", 422, "spec.containers: Required value"))
    stopping = persisted(refused)
    assert stopping.ledger.state is State.STOPPING
    ledger = expect_write(later(stopping, 10))
    assert "spec.containers: Required value" in expect_ending(ledger, "StartFailed").message


@pytest.mark.parametrize(
    "added",
    [
        "spec.containers[1].image: Required value",
        'spec.initContainers[1].volumeMounts[0].name: Not found: "istio-envoy"',
        'spec.volumes[3].name: Duplicate value: "vault-token"',
        '[spec.containers[0].env[2].name: Required value, spec.containers[4].name: Duplicate: "x"]',
        'spec.containers[0].volumeMounts[9].mountPath: Invalid value: "/vault": must be unique',
        "spec.tolerations[40].effect: Unsupported value: 1",
        "spec.imagePullSecrets[2].name: Required value",
        "spec.hostAliases[0].ip: Required value",
    ],
)
def test_what_a_webhook_adds_wrongly_is_not_the_templates_fault(added: str) -> None:
    """The API server looks at a pod once every webhook has changed it, and names the part alone."""
    message = f'Pod "digits-1-0" is invalid: {added}'
    asked = {"spec": {"initContainers": [{}], "containers": [{"env": [{}]}], "volumes": [{}] * 3}}
    refusal = Refusal("digits-1-0", 422, message, added=not_asked_for(message, asked))
    refused = persisted(created(refusal=refusal))
    assert refused.ledger.state is State.CREATING
    summary = the_condition(refused.ledger, Condition.SUCCEEDED)
    assert summary.reason == "PodsRefused"
    assert "a webhook of the cluster added it" in summary.message
    assert names(refused) == ["CreatePod"]


@pytest.mark.parametrize("code", [400, 403, 409, 413, 422, 429, 500])
def test_what_a_webhook_refuses_is_not_the_templates_fault(code: int) -> None:
    denied = 'admission webhook "policy.example" denied the request: no'
    refused = persisted(created(refusal=Refusal("digits-1-0", code, denied)))
    assert refused.ledger.state is State.CREATING
    summary = the_condition(refused.ledger, Condition.SUCCEEDED)
    assert summary.reason == "PodsRefused"
    assert denied in summary.message


@pytest.mark.parametrize("state", ["live", "stopping", "waiting"])
def test_a_write_that_is_refused_is_said_whatever_the_attempt_does(state: str) -> None:
    refusals = (Refusal("", 403, "webhook says no", "delete pod digits-1-0"),)
    if state == "live":
        before = at_work()
    elif state == "stopping":
        before = persisted(replace(at_work(), job=a_job(suspend=True, generation=2)))
    else:
        ended = replace(at_work(), pods=(exited(POD, 1),), policies=(a_default_policy(),))
        before = persisted(ended)
    told = persisted(replace(before, refusals=refusals))
    summary = the_condition(told.ledger, Condition.SUCCEEDED)
    assert (summary.status, summary.reason) == ("Unknown", "WritesRefused")
    assert "refuses to delete pod digits-1-0" in summary.message
    assert "webhook says no" in summary.message
    over = persisted(replace(told, refusals=()))
    assert the_condition(over.ledger, Condition.SUCCEEDED).reason != "WritesRefused"


def test_a_pod_refused_for_quota_is_asked_for_again_and_says_so() -> None:
    refused = persisted(created(refusal=Refusal("digits-1-0", 403, "exceeded quota: gpus")))
    assert refused.ledger.state is State.CREATING
    summary = the_condition(refused.ledger, Condition.SUCCEEDED)
    assert (summary.status, summary.reason) == ("Unknown", "PodsRefused")
    assert "exceeded quota: gpus" in summary.message
    assert names(refused) == ["CreatePod"]


def test_suspend_drains_charges_nobody_and_waits() -> None:
    stopping = persisted(replace(at_work(), job=a_job(suspend=True, generation=2)))
    assert the_condition(stopping.ledger, Condition.SUSPENDED).reason == "Suspending"
    (deletion,) = expect_actions(stopping)
    assert isinstance(deletion, DeletePod)
    assert deletion.grace_seconds is None
    draining = replace(later(stopping, 3), pods=(terminating(POD),))
    expect_rest(draining)
    paused = persisted(replace(draining, pods=(gone(exited(POD, 0)),)))
    assert expect_ending(paused.ledger, "Suspended").charged is None
    assert the_condition(paused.ledger, Condition.SUSPENDED).status == "True"
    expect_rest(later(paused, 9999))
    resumed = persisted(replace(later(paused, 9999), job=a_job(generation=3), pods=()))
    assert (resumed.ledger.attempt, resumed.ledger.state) == (2, State.CREATING)


def test_a_job_suspended_from_the_start_creates_nothing() -> None:
    held = persisted(a_snapshot(job=a_job(suspend=True)))
    assert (held.ledger.attempt, held.ledger.state) == (0, State.WAITING)
    expect_rest(held)


def test_a_stop_before_any_pod_was_seen_waits_for_posts_under_way() -> None:
    stopping = persisted(created(job=a_job(suspend=True)))
    assert stopping.ledger.state is State.STOPPING
    expect_rest(later(stopping, 9))
    expect_ending(expect_write(later(stopping, 10)), "Suspended")
    late = persisted(replace(later(stopping, 5), pods=(a_pod(),)))
    assert names(late) == ["DeletePod"]


def test_a_late_pod_of_an_attempt_that_is_over_goes_before_the_next_is_created() -> None:
    over = persisted(replace(at_work(), pods=(exited(POD, 93),)))
    late = running(a_pod(uid="late"))
    first = created()
    record = replace(the_current(first.ledger), number=2)
    second = replace(first.ledger, attempt=2, attempts=(*first.ledger.attempts, record))
    waiting = replace(first, ledger=second, pods=(late,), nodes=over.nodes)
    assert names(waiting) == ["DeletePod"]
    assert names(replace(waiting, pods=(terminating(late),))) == []
    assert names(replace(waiting, pods=(exited(late, 94),))) == ["DeletePod", "CreatePod"]


def test_a_stalled_trainer_is_stopped_unless_it_said_that_it_is_busy() -> None:
    working = at_work(a_job(stallTimeout="5m"))
    stuck = a_report(step_age=300.0)
    assert persisted(_reporting(working, replace(stuck, step_age=299.0))).ledger.state == "Created"
    assert persisted(_reporting(working, replace(stuck, busy="eval"))).ledger.state == "Created"
    assert persisted(_reporting(working, replace(stuck, age=61.0))).ledger.state == "Created"
    stopping = persisted(_reporting(working, stuck))
    assert stopping.ledger.state is State.STOPPING
    ledger = expect_write(replace(stopping, pods=(exited(POD, 143),)))
    assert "no step after 10" in expect_ending(ledger, "Stalled").message


def _reporting(snapshot: Snapshot, report: object) -> Snapshot:
    return replace(snapshot, reports={UID: report})  # type: ignore[dict-item]


def test_no_stall_before_the_first_step() -> None:
    starting = at_work(a_job(stallTimeout="5m"), a_report(step=0, step_age=9999.0))
    assert starting.ledger.state is State.CREATED


def test_a_preempted_node_is_avoided_whatever_the_ending_is_called() -> None:
    paused = replace(later(at_work(), 1000), pods=(exited(POD, 1, "OOMKilled", at=after(999)),))
    noticed = replace(paused, reports={UID: a_report(notice=a_notice())})
    ledger = expect_write(noticed)
    expect_ending(ledger, "OutOfMemory")
    assert [one.node.name for one in ledger.excluded] == ["node-1"]


def test_an_unschedulable_pod_waits_and_says_why() -> None:
    pending = replace(a_pod(), unschedulable="0/3 nodes are available: insufficient nvidia.com/gpu")
    waiting = persisted(created(pods=(pending,)))
    capacity = the_condition(waiting.ledger, Condition.CAPACITY_AVAILABLE)
    assert (capacity.status, capacity.reason) == ("False", "Unschedulable")
    assert "insufficient nvidia.com/gpu" in capacity.message
    expect_rest(later(waiting, 86_400))


def test_a_spec_that_cannot_run_creates_nothing_and_says_what_to_change() -> None:
    held = persisted(a_snapshot(job=a_job(refusal="spec.template has two trainers: name one")))
    summary = the_condition(held.ledger, Condition.SUCCEEDED)
    assert (summary.reason, summary.message) == (
        "InvalidSpec",
        "spec.template has two trainers: name one",
    )
    expect_rest(held)


def test_the_loss_of_a_node_takes_one_write_a_forced_deletion_and_one_write() -> None:
    silent = a_node(lease_age=60.0)
    there = {"node-1": silent, "node-2": a_node("node-2"), "node-3": a_node("node-3")}
    lost = persisted(
        replace(
            later(at_work(), 60),
            nodes=there,
            visibility=seeing(*there.values()),
            reports={UID: a_report(age=60.0)},
        )
    )
    assert lost.ledger.state is State.WAITING
    (deletion,) = expect_actions(lost)
    assert isinstance(deletion, DeletePod)
    assert (deletion.uid, deletion.grace_seconds) == (UID, 0)
    started = persisted(replace(later(lost, 1), pods=(gone(POD),)))
    assert (started.ledger.attempt, started.ledger.state) == (2, State.CREATING)
    (create,) = expect_actions(started)
    assert isinstance(create, CreatePod)
    assert create.barred_nodes == ("node-1",)


def test_a_verdict_stands_although_the_node_is_heard_of_again() -> None:
    silent = a_node(lease_age=60.0)
    there = {"node-1": silent, "node-2": a_node("node-2"), "node-3": a_node("node-3")}
    lost = persisted(
        replace(
            at_work(),
            nodes=there,
            visibility=seeing(*there.values()),
            reports={UID: a_report(age=60.0)},
        )
    )
    healed = replace(lost, nodes={**there, "node-1": a_node()}, visibility=seeing(*there.values()))
    (deletion,) = expect_actions(healed)
    assert isinstance(deletion, DeletePod)
    assert deletion.grace_seconds == 0


def test_the_plan_says_when_to_look_again() -> None:
    assert expect_rest(at_work()).wake_after == timedelta(seconds=39)
    failed = persisted(replace(at_work(policies=(a_default_policy(),)), pods=(exited(POD, 1),)))
    assert expect_rest(failed).wake_after == timedelta(seconds=10)
    over = persisted(replace(at_work(a_job(podCleanup="DeleteAll")), pods=(exited(POD, 93),)))
    assert expect_rest(replace(over, pods=())).wake_after is None
