"""Invariant I7: no process outlives its job, and force is used only where nobody else can act."""

from dataclasses import replace
from datetime import timedelta

import pytest
from kit.builders import (
    a_job,
    a_node,
    a_pod,
    a_report,
    a_snapshot,
    a_word,
    after,
    at_work,
    bound,
    exited,
    expect_actions,
    expect_rest,
    later,
    persisted,
    running,
    seeing,
    terminating,
    the_condition,
)
from spot_operator.api.names import Condition, State
from spot_operator.domain.actions import CreatePod, DeleteJob, DeletePod
from spot_operator.domain.observed.snapshot import Snapshot, Visibility
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import Ledger

POD = running(a_pod())
FAILED, DONE = exited(POD, 93), exited(POD, 0)
GONE = {"node-2": a_node("node-2")}


def finished(**spec: object) -> Snapshot:
    """A job whose trainer refused."""
    return persisted(replace(at_work(a_job(**spec)), pods=(FAILED,)))


def completed(**spec: object) -> Snapshot:
    """A job whose trainer finished."""
    word = {POD.uid: a_report(word=a_word("Finished"))}
    return persisted(replace(at_work(a_job(**spec)), pods=(DONE,), reports=word))


def deletions(snapshot: Snapshot) -> list[tuple[str, int | None]]:
    made = plan(snapshot)
    assert made.ledger is None
    assert all(isinstance(one, DeletePod) for one in made.actions)
    return [(one.uid, one.grace_seconds) for one in made.actions if isinstance(one, DeletePod)]


@pytest.mark.parametrize(
    ("over", "stays"),
    [
        (finished(), True),
        (finished(podCleanup="DeleteAll"), False),
        (completed(), False),
        (completed(podCleanup="DeleteAll"), False),
    ],
)
def test_only_a_failed_job_keeps_its_last_pods_for_their_logs(over: Snapshot, stays: bool) -> None:
    assert over.ledger.state is State.FINISHED
    assert deletions(over) == ([] if stays else [(POD.uid, None)])


def test_a_process_found_after_the_end_is_ended() -> None:
    late = running(a_pod(uid="late"))
    over = replace(finished(), pods=(FAILED, late))
    assert deletions(over) == [("late", None)]
    assert deletions(replace(over, pods=(FAILED, terminating(late)))) == []


def test_pods_of_earlier_attempts_go_when_the_next_exists() -> None:
    waiting = persisted(a_snapshot())
    second = persisted(replace(waiting, ledger=replace(waiting.ledger, attempt=2), pods=(FAILED,)))
    assert plan(second).actions[0] == DeletePod(POD.name, POD.uid, None, "attempt 1 is over")


def test_a_pod_of_a_later_attempt_shows_that_our_copy_of_the_job_is_old() -> None:
    future = running(a_pod(3))
    assert all(
        one != DeletePod for one in map(type, plan(replace(at_work(), pods=(POD, future))).actions)
    )


def test_a_second_pod_of_a_rank_goes() -> None:
    twin = running(a_pod(uid="twin", created_at=after(5)))
    assert deletions(replace(at_work(), pods=(POD, twin))) == [("twin", None)]


def test_pods_of_a_former_job_of_that_name_go_and_strangers_stay() -> None:
    former = running(a_pod(uid="former", owner_uid="uid-of-the-former-job"))
    stranger = running(a_pod(uid="stranger", owner_uid=""))
    assert deletions(replace(at_work(), pods=(POD, former, stranger))) == [("former", None)]


def test_when_the_job_is_gone_its_pods_go_but_only_if_we_see_well() -> None:
    gone = replace(at_work(), job=None, ledger=Ledger())
    assert deletions(gone) == [(POD.uid, None)]
    assert plan(gone).wake_after is not None
    assert deletions(replace(gone, visibility=Visibility(False, 3600.0))) == []
    assert deletions(replace(gone, nodes=GONE)) == [(POD.uid, 0)]
    assert plan(replace(gone, pods=())).wake_after is None


def test_while_the_job_is_being_deleted_nothing_is_written_or_created() -> None:
    ending = replace(persisted(a_snapshot()), job=a_job(deleting=True))
    made = plan(ending)
    assert (made.ledger, made.actions) == (None, ())


def test_while_the_namespace_goes_nothing_is_created_and_the_job_says_why() -> None:
    for before in (a_snapshot(), persisted(a_snapshot())):
        going = persisted(replace(before, namespace_terminating=True))
        summary = the_condition(going.ledger, Condition.SUCCEEDED)
        assert (summary.status, summary.reason) == ("Unknown", "NamespaceTerminating")
        made = plan(going)
        assert made.actions == ()
        assert made.wake_after == timedelta(seconds=10)
        stays = persisted(replace(going, namespace_terminating=False))
        assert [type(one) for one in plan(stays).actions] == [CreatePod]


def test_nobody_is_held_for_checkpoints_while_the_namespace_goes() -> None:
    checkpoint = {"store": {"s3": {"bucket": "b"}}, "deletionPolicy": "Delete"}
    going = replace(a_snapshot(job=a_job(checkpoint=checkpoint)), namespace_terminating=True)
    assert plan(persisted(going)).actions == ()


def test_while_the_job_is_being_deleted_pods_on_fenced_nodes_are_forced() -> None:
    ending = replace(at_work(), job=a_job(deleting=True))
    assert deletions(replace(ending, nodes=GONE)) == []
    dying = replace(ending, pods=(terminating(POD, after(30)),))
    assert deletions(dying) == []
    assert deletions(replace(dying, nodes=GONE)) == [(POD.uid, 0)]
    forced = replace(dying, nodes=GONE, pods=(replace(dying.pods[0], grace_seconds=0),))
    assert deletions(forced) == []


def test_a_silent_node_cannot_keep_a_deleted_job_for_ever() -> None:
    there = {"node-1": a_node(lease_age=60.0), "node-2": a_node("node-2")}
    dying = replace(
        at_work(),
        job=a_job(deleting=True),
        pods=(terminating(POD, after(30)),),
        nodes=there,
        visibility=seeing(*there.values()),
        reports={},
    )
    assert deletions(dying) == []
    assert deletions(later(dying, 30)) == [(POD.uid, 0)]


def test_a_pod_bound_but_never_begun_is_deleted_gracefully_on_a_healthy_node() -> None:
    stuck = bound(a_pod(uid="late"))
    assert deletions(replace(finished(), pods=(stuck,))) == [("late", None)]


def test_a_finished_job_expires() -> None:
    over = finished(ttlSecondsAfterFinished=60)
    rest = expect_rest(later(over, 59))
    assert rest.wake_after == timedelta(seconds=1)
    assert expect_actions(later(over, 60)) == (DeleteJob("uid-of-digits", "7"),)
    expect_rest(later(finished(), 999_999))


def test_a_late_pod_never_annotated_cannot_hang_on_a_silent_node() -> None:
    there = {"node-1": a_node(lease_age=60.0), "node-2": a_node("node-2")}
    late = replace(terminating(running(a_pod()), after(30)), node_identity=None)
    waiting = persisted(a_snapshot())
    second = replace(
        waiting,
        ledger=replace(waiting.ledger, attempt=2),
        pods=(late,),
        nodes=there,
        visibility=seeing(*there.values()),
    )
    second = persisted(second)
    expect_rest(second)
    assert deletions(later(second, 30)) == [(POD.uid, 0)]


@pytest.mark.parametrize("changed", [{"boot_id": "boot-2"}, {"uid": "another"}])
def test_a_kubelet_that_came_back_ends_the_pod_itself_before_the_next_attempt(
    changed: dict[str, str],
) -> None:
    there = {"node-1": a_node(**changed), "node-2": a_node("node-2")}
    lost = persisted(replace(at_work(), nodes=there))
    assert lost.ledger.attempts[0].ending == "NodeLost"
    assert lost.ledger.state is State.WAITING
    assert deletions(lost) == [(POD.uid, None)]
    ending = replace(lost, pods=(terminating(POD, after(30)),))
    expect_rest(ending)
    assert persisted(replace(ending, pods=(exited(POD, 137),))).ledger.attempt == 2


@pytest.mark.parametrize("state", ["finished", "suspended", "waiting for a policy"])
def test_a_pod_that_is_being_deleted_is_looked_after_whatever_its_job_does(state: str) -> None:
    """Its node may die before it ends, and no event says so."""
    spec: dict[str, dict[str, object]] = {
        "suspended": {"suspend": True},
        "waiting for a policy": {"policyName": "gold"},
    }
    ledger = replace(at_work().ledger, state=State.WAITING, ranks=())
    over = persisted(a_snapshot(job=a_job(**spec.get(state, {})), ledger=ledger))
    if state == "finished":
        over = replace(finished(podCleanup="DeleteAll"), pods=(), reports={})
    dying = replace(over, pods=(terminating(running(a_pod()), after(30)),))
    assert plan(dying).wake_after == timedelta(seconds=10)
    dead = a_node("node-1", lease_age=9999.0)
    there = (dead, a_node("node-2"), a_node("node-3"))
    lost = replace(
        later(dying, 9999),
        nodes={one.name: one for one in there},
        visibility=seeing(*there, leading_for=9999),
    )
    assert (running(a_pod()).uid, 0) in deletions(persisted(lost))
    assert plan(replace(over, pods=())).wake_after is None, "at rest it costs nothing"


def test_a_pod_that_only_a_finalizer_keeps_is_nobodys_to_look_after() -> None:
    kept = replace(terminating(FAILED), grace_seconds=0)
    assert plan(replace(finished(), pods=(kept,))).wake_after is None
