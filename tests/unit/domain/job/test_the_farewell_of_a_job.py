"""`deletionPolicy: Delete`: the job is held, its pods end, its lineage goes, and then the job."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from kit.builders import (
    a_companion,
    a_job,
    a_node,
    a_pod,
    a_snapshot,
    at_work,
    beside,
    exited,
    expect_actions,
    expect_rest,
    expect_write,
    gone,
    later,
    persisted,
    running,
    terminating,
)
from spot_operator.api.events import Event
from spot_operator.api.names import FINALIZER
from spot_operator.domain.actions import CreatePurge, DeletePod, Hold
from spot_operator.domain.checkpoint_deletion import LIMIT, STARTS_WITHIN, TRIES, WAITS
from spot_operator.domain.observed.snapshot import JobView, PodView, Refusal, Snapshot, Visibility
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import Purge

STORE = {"s3": {"bucket": "training", "prefix": "teams"}}
PLACE = "s3://training/teams/research/digits/uid-of-digits/"
POD = running(a_pod())
LET_GO = (Hold(wanted=False),)
REFUSED = Refusal("digits-purge-1", 403, "quota")


def a_held_job(policy: str = "Delete", **changes: Any) -> JobView:
    """A job that asked for it, our finalizer on it."""
    checkpoint = {"store": STORE, "deletionPolicy": policy}
    usual: dict[str, Any] = {"checkpoint": checkpoint, "finalizers": (FINALIZER,)}
    return a_job(**(usual | changes))


def deleted(**changes: Any) -> Snapshot:
    """A job at work that somebody has just deleted."""
    return replace(at_work(a_held_job()), job=a_held_job(deleting=True, **changes))


def over(**changes: Any) -> Snapshot:
    """The same after its pod has ended, all of that persisted."""
    return persisted(replace(deleted(**changes), pods=(exited(POD, 0),)))


def after_pods(**changes: Any) -> Snapshot:
    """The same once the pod is no more, and the first try is due."""
    ended = over(**changes)
    return replace(ended, pods=())


def a_purge_pod(number: int = 1, **changes: Any) -> PodView:
    """The pod of a try."""
    name = f"digits-purge-{number}"
    return replace(a_pod(-1, -1), name=name, uid=f"uid-of-{name}", purge=number, **changes)


def done(pod: PodView, code: int = 0, **word: Any) -> PodView:
    """The pod after its try."""
    return exited(pod, code, message=json.dumps({"version": 1, **word}))


def trying(number: int = 1, *purges: PodView, since: float = 0) -> Snapshot:
    """A job whose lineage is being deleted for the so-many-th time."""
    ended = after_pods()
    begun = Purge(number, ended.now + timedelta(seconds=since))
    return replace(ended, ledger=replace(ended.ledger, purge=begun), purges=purges)


def the_purge(snapshot: Snapshot) -> Purge:
    purge = expect_write(snapshot).purge
    assert purge is not None
    return purge


# --- the finalizer -------------------------------------------------------------------------------


def test_a_job_is_held_before_anything_of_it_is_written() -> None:
    fresh = a_snapshot(job=a_held_job(finalizers=()))
    assert expect_actions(fresh) == (Hold(wanted=True),)
    assert expect_write(replace(fresh, job=a_held_job())).attempt == 1


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_a_job_is_held_if_its_policy_says_so_whenever_that_changes(policy: str, held: bool) -> None:
    job = a_held_job(policy, finalizers=(FINALIZER,) if held else ())
    made = plan(replace(at_work(), job=job))
    wanted = policy == "Delete"
    assert made.actions == (() if wanted == held else (Hold(wanted),))


def test_other_finalizers_are_nobodys_business() -> None:
    held = a_held_job("Retain", finalizers=("example.com/theirs",), deleting=True)
    expect_rest(replace(at_work(), job=held))


def test_a_deleted_job_that_is_not_held_is_not_taken_hold_of() -> None:
    expect_rest(replace(at_work(), job=a_held_job(finalizers=(), deleting=True)))


def test_a_job_that_never_began_goes_at_once() -> None:
    assert expect_actions(a_snapshot(job=a_held_job(deleting=True))) == LET_GO


def test_retain_lets_a_job_go_that_is_being_deleted_and_stops_the_purge() -> None:
    switched = replace(trying(1, running(a_purge_pod())), job=a_held_job("Retain", deleting=True))
    stop, let_go = expect_actions(switched)
    assert isinstance(stop, DeletePod)
    assert stop.name == "digits-purge-1"
    assert let_go == Hold(wanted=False)


# --- first everything ends -----------------------------------------------------------------------


def test_the_pods_of_a_held_job_are_ended_by_us() -> None:
    """The garbage collector waits for the job to be gone."""
    (action,) = expect_actions(deleted())
    assert action == DeletePod(POD.name, POD.uid, None, "its job is being deleted")
    assert expect_rest(replace(deleted(), pods=(terminating(POD),))).wake_after is not None


def test_nothing_is_deleted_while_a_pod_may_still_write() -> None:
    dying = replace(deleted(), pods=(terminating(POD),))
    named = persisted(later(dying, 3600))
    assert named.ledger.purge is None
    expect_rest(named)
    vanished = persisted(replace(dying, pods=(gone(POD),)))
    expect_rest(vanished)  # deleted by force: the process may live on
    waited = persisted(later(vanished, 120 + 41))
    assert waited.ledger.purge == Purge(1, waited.now)


def test_a_pod_on_a_node_that_is_no_more_counts_as_ended() -> None:
    elsewhere = {"node-2": a_node("node-2")}
    lost = persisted(replace(deleted(), nodes=elsewhere, pods=(terminating(POD),)))
    (action,) = expect_actions(lost)
    assert isinstance(action, DeletePod)
    assert action.grace_seconds == 0
    forced = replace(lost, pods=(replace(terminating(POD), grace_seconds=0),))
    assert persisted(forced).ledger.purge is not None


def test_a_pod_that_was_left_without_owner_is_waited_for_and_not_ended() -> None:
    left = running(replace(a_pod(), owner_uid=""))
    expect_rest(replace(after_pods(), pods=(left,)))
    assert plan(replace(trying(1), pods=(left,))).actions == ()


def test_nothing_is_deleted_without_fresh_eyes() -> None:
    blind = Visibility(fresh=False, leading_for=3600.0)
    expect_rest(replace(trying(1), visibility=blind))


# --- then the lineage ----------------------------------------------------------------------------


def test_a_try_is_persisted_before_its_pod_is_created() -> None:
    ended = over()
    assert ended.ledger.purge == Purge(1, ended.now)
    assert CreatePurge(1) in expect_actions(ended)


def test_a_pod_is_created_once() -> None:
    expect_rest(trying(1, a_purge_pod()))
    expect_rest(trying(1, running(a_purge_pod())))
    assert expect_actions(trying(1)) == (CreatePurge(1),)


def test_when_everything_is_deleted_the_job_goes_with_an_event() -> None:
    finished = trying(1, done(a_purge_pod(), deleted=17, kept=["a00000001-s000000000100-x"]))
    made = plan(finished)
    assert [note.reason for note in made.events] == [Event.CHECKPOINTS_DELETED]
    (note,) = made.events
    assert f"17 objects are deleted from {PLACE}" in note.message
    assert "pinned checkpoints stay: a00000001-s000000000100-x" in note.message
    assert expect_actions(persisted(finished)) == LET_GO


def failing() -> list[tuple[str, Snapshot, str]]:
    """What can come of a try, and what is said about it."""
    stuck = replace(a_purge_pod(), unschedulable="0/3 nodes are available")
    late = (STARTS_WITHIN + LIMIT).total_seconds() + 60
    return [
        ("denied", trying(1, done(a_purge_pod(), 1, problem="Denied: no")), "Denied: no"),
        ("killed", trying(1, exited(a_purge_pod(), 137)), "Error"),
        ("deadline", trying(1, replace(exited(a_purge_pod(), 137), reason="DeadlineExceeded")),
         "DeadlineExceeded"),
        ("removed", trying(1, gone(running(a_purge_pod()))), "deleted before it had ended"),
        ("no node", later(trying(1, stuck), 600), "0/3 nodes are available"),
        ("endless", later(trying(1, running(a_purge_pod())), late), "did not end within"),
        ("never seen", later(trying(1), 600), "was never created"),
        ("taken", replace(trying(1), foreign=frozenset({"digits-purge-1"})), "exists already"),
        ("refused", replace(later(trying(1), 600), refusal=REFUSED), "quota"),
    ]  # fmt: skip


@pytest.mark.parametrize("case", failing(), ids=lambda case: case[0])
def test_a_try_that_failed_is_followed_by_another(case: tuple[str, Snapshot, str]) -> None:
    _, failed, said = case
    made = plan(failed)
    assert [note.reason for note in made.events] == [Event.PURGE_FAILED]
    assert said in made.events[0].message
    assert PLACE in made.events[0].message
    second = persisted(failed)
    assert second.ledger.purge is not None
    assert (second.ledger.purge.number, second.ledger.purge.outcome) == (2, None)
    assert CreatePurge(2) not in plan(later(second, WAITS[0].total_seconds() - 1)).actions
    assert CreatePurge(2) in expect_actions(later(second, WAITS[0].total_seconds()))


def test_a_purge_that_is_refused_is_asked_for_again_before_it_is_given_up() -> None:
    """A quota is freed, a webhook comes back: checkpoints are not left for a moment's refusal."""
    for seconds in (0, 1, 599):
        refused = replace(later(trying(1), seconds), refusal=REFUSED)
        assert expect_actions(refused) == (CreatePurge(1),)


def test_the_refusal_of_a_training_pod_says_nothing_about_the_purge() -> None:
    refused = replace(trying(1), refusal=Refusal("digits-2-0", 403, "quota"))
    assert expect_actions(refused) == (CreatePurge(1),)


def test_an_overdue_try_is_ended_before_the_next_begins() -> None:
    begun = trying(2, running(a_purge_pod(1)))
    stop, create = expect_actions(begun)
    assert isinstance(stop, DeletePod)
    assert stop.name == "digits-purge-1"
    assert create == CreatePurge(2)


def test_at_last_the_job_goes_and_says_what_is_left_and_where() -> None:
    failed = trying(TRIES, done(a_purge_pod(TRIES), 1, problem="Denied: no"))
    made = plan(failed)
    (note,) = made.events
    assert (note.reason, note.type) == (Event.CHECKPOINTS_LEFT, "Warning")
    assert PLACE in note.message
    assert "Denied: no" in note.message
    assert expect_actions(persisted(failed)) == LET_GO


def test_a_namespace_that_is_deleted_lets_the_job_go() -> None:
    ending = replace(trying(1), namespace_terminating=True)
    assert the_purge(ending).outcome == "Left"
    assert [note.reason for note in plan(ending).events] == [Event.CHECKPOINTS_LEFT]
    assert expect_actions(persisted(ending)) == LET_GO


def test_a_volume_is_named_by_its_claim() -> None:
    store = {"volume": {"claimName": "nas", "path": "runs"}}
    job = a_held_job(deleting=True, checkpoint={"store": store, "deletionPolicy": "Delete"})
    made = plan(replace(trying(1, done(a_purge_pod(), deleted=3)), job=job))
    assert "runs/research/digits/uid-of-digits/ of claim nas" in made.events[0].message


def test_a_termination_message_that_says_nothing_is_no_obstacle() -> None:
    for message in ("", "[]", "not JSON"):
        ended = exited(a_purge_pod(), 0, message=message)
        assert the_purge(trying(1, ended)).outcome == "Deleted"


def test_the_pods_of_a_purge_go_with_the_job() -> None:
    left = replace(trying(1, running(a_purge_pod())), job=None)
    (action,) = expect_actions(left)
    assert isinstance(action, DeletePod)
    assert action.name == "digits-purge-1"


PROXY = a_companion()


@pytest.mark.parametrize("started", [60, 3600])
def test_a_proxy_in_its_pod_does_not_keep_a_try_under_way(started: float) -> None:
    """Deleted is deleted, however long a container of a webhook runs on."""
    pod = beside(done(a_purge_pod(), deleted=12), PROXY)
    ledger = expect_write(later(trying(1, pod), started))
    assert ledger.purge is not None
    assert ledger.purge.outcome == "Deleted"
    again = replace(trying(1, pod), ledger=ledger)
    whats = [type(one).__name__ for one in expect_actions(again)]
    assert whats == ["DeletePod", "Hold"], "nobody else ends the pod"


def test_a_proxy_in_its_pod_does_not_hide_that_a_try_failed() -> None:
    pod = beside(done(a_purge_pod(), code=1, problem="Denied"), PROXY)
    failed = the_purge(trying(1, pod))
    assert (failed.number, failed.outcome) == (2, None)
    assert "Denied" in failed.message
