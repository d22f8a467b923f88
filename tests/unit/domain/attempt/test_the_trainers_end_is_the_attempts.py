"""The trainer decides when an attempt is over, whatever else runs in its pod; the pod goes then,
after the sidecar's last upload, and what is done to it for that is nobody's ending."""

from dataclasses import replace
from typing import Any

import pytest
from kit.builders import (
    a_companion,
    a_default_policy,
    a_job,
    a_notice,
    a_report,
    a_scene,
    a_word,
    after,
    at_work,
    beside,
    disrupted,
    exited,
    expect_actions,
    expect_ending,
    expect_rest,
    gone,
    later,
    persisted,
    running,
    saying,
    seeing,
    terminating,
    the_condition,
    the_current,
    the_rank,
)
from spot_operator.api.names import ANNOTATION_ENDED, EXIT_REFUSED, Condition, Reason, State
from spot_operator.domain.actions import AnnotatePod, DeletePod
from spot_operator.domain.attempt.pod_ending import HALTED, KUBELET, LINGERS
from spot_operator.domain.observed.elapsed import absent
from spot_operator.domain.observed.snapshot import ContainerView, PodView, Snapshot
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import Word

GRACE = 120
PATIENCE = LINGERS.total_seconds()
PROXY = a_companion()
COMPANIONS = {
    "a proxy": (PROXY,),
    "TensorBoard and a log shipper": (a_companion("tensorboard"), a_companion("logs")),
    "one whose image is not to be had": (
        ContainerView("agent", "waiting", reason="ImagePullBackOff"),
    ),
    "one that the kubelet knows nothing of yet": (ContainerView("agent"),),
    "one that ended, and one that did not": (
        ContainerView("fetch", "terminated", exit_code=0),
        PROXY,
    ),
}
ENDS: dict[str, tuple[dict[str, Any], int, Word | None, str, str | None]] = {
    # what the job asks for, how the trainer exits, its word: the ending and its charge
    "it crashed": ({}, 1, None, "TrainerFailed", "Failure"),
    "it has finished": ({}, 0, a_word("Finished"), "Completed", None),
    "it exited with 0 as it was to": ({"completion": "ExitCode"}, 0, None, "Completed", None),
    "it refuses": ({}, EXIT_REFUSED, a_word("Refused", "no data"), "TrainerRefused", None),
    "it paused": ({}, 0, a_word("Paused"), "Paused", "Interruption"),
}


def with_pod(snapshot: Snapshot, pod: PodView, **changes: Any) -> Snapshot:
    return persisted(replace(snapshot, pods=(pod,), **changes))


def over(code: int, *others: ContainerView, work: Snapshot | None = None) -> Snapshot:
    """The trainer of an attempt at work has exited; the others in its pod have not, and the
    sidecar knows, where it is to be told."""
    snapshot = work or at_work()
    return told(with_pod(snapshot, beside(exited(snapshot.pods[0], code), *others)))


def told(snapshot: Snapshot) -> Snapshot:
    """After the annotation that the pass asks for, if it does."""
    wanted = [one for one in plan(snapshot).actions if isinstance(one, AnnotatePod)]
    assert all(list(one.annotations) == [ANNOTATION_ENDED] for one in wanted)
    (pod,) = snapshot.pods
    return with_pod(snapshot, replace(pod, told_of_end=True)) if wanted else snapshot


def deleted(snapshot: Snapshot) -> Snapshot:
    """After the deletion that the pass asks for; the kubelet is ending the pod."""
    (action,) = expect_actions(snapshot)
    assert isinstance(action, DeletePod)
    assert action.grace_seconds is None, "the sidecar and the others get their grace"
    (pod,) = snapshot.pods
    return with_pod(snapshot, terminating(pod, after(GRACE)))


def ended(snapshot: Snapshot, **word: Any) -> Snapshot:
    """After the last container of the pod has ended and the kubelet has told so."""
    (pod,) = snapshot.pods
    whole = replace(
        saying(pod, **word),
        phase="Failed",
        others=tuple(replace(one, state="terminated", exit_code=137) for one in pod.others),
    )
    return with_pod(snapshot, gone(whole) if pod.deletion_at else whole)


@pytest.mark.parametrize("others", COMPANIONS.values(), ids=COMPANIONS)
@pytest.mark.parametrize("case", ENDS.values(), ids=ENDS)
def test_what_runs_beside_the_trainer_neither_hides_nor_prolongs_its_end(
    others: tuple[ContainerView, ...],
    case: tuple[dict[str, Any], int, Word | None, str, str | None],
) -> None:
    asked, code, word, ending, charge = case
    work = at_work(job=a_job(**asked))
    if word is not None and word.word == "Paused":
        report = a_report(notice=a_notice("Maintenance"))
        work = persisted(replace(work, reports={work.pods[0].uid: report}))
    seen = over(code, *others, work=work)
    assert seen.ledger.state is State.STOPPING, "the trainer's end has been noticed"
    waited = persisted(later(seen, GRACE))
    said = {"word": word.word, "reason": word.reason} if word is not None else {}
    final = ended(deleted(waited), **said)
    record = expect_ending(final.ledger, ending)
    assert (record.charged, "deleted" in record.message) == (charge, False)


def test_the_attempt_is_over_only_when_its_pod_is() -> None:
    """The sidecar may still commit: the next attempt would not see it."""
    seen = later(over(1, PROXY), GRACE)
    waiting = deleted(persisted(seen))
    assert waiting.ledger.state is State.STOPPING
    assert the_current(waiting.ledger).ending is None


def test_a_new_leader_knows_how_the_trainer_ended() -> None:
    """The pod goes while nobody looks; no tombstone of it is left."""
    snapshot = later(over(1, PROXY), 3600, pods=(), reports={})
    record = the_rank(snapshot.ledger)
    patience = GRACE + a_scene(snapshot).unreachable_after.total_seconds()
    young = persisted(replace(snapshot, seen={absent(record): patience - 1}))
    assert the_current(young.ledger).ending is None, "its sidecar may still store"
    old = persisted(replace(snapshot, seen={absent(record): patience}))
    assert expect_ending(old.ledger, "TrainerFailed").charged == "Failure"


# --- who ends the pod, and when ---------------------------------------------------------------


def test_a_pod_in_which_nothing_else_runs_is_left_to_the_kubelet_and_its_logs_stay() -> None:
    native = a_companion("mesh", is_init=True)
    done = ContainerView("fetch", "terminated", exit_code=0)
    work = at_work(policies=(a_default_policy(),))
    seen = over(1, native, done, work=work)
    expect_rest(persisted(later(seen, GRACE)))
    final = ended(seen)
    expect_ending(final.ledger, "TrainerFailed")
    assert plan(final).actions == (), "it stays for kubectl logs"


def test_of_a_pod_that_outlives_its_grace_nobody_says_that_its_trainer_runs() -> None:
    stuck = persisted(later(deleted(persisted(later(over(1, PROXY), GRACE))), 3600))
    found = the_condition(stuck.ledger, Condition.RUNNING)
    assert found.reason == Reason.POD_NOT_ENDING
    assert "its sidecar may still store" in found.message


def test_a_kubelet_that_does_not_end_it_is_told_to() -> None:
    seen = over(1, a_companion("mesh", is_init=True))
    limit = GRACE + KUBELET.total_seconds()
    expect_rest(persisted(later(seen, limit - 1)))
    deleted(persisted(later(seen, limit)))


def test_a_trainer_that_was_started_again_is_ended_by_us() -> None:
    """Only where a webhook has changed the pod's restartPolicy: no kubelet ends such a pod."""
    work = at_work()
    again = exited(work.pods[0], 1)
    again = beside(replace(again, trainer=replace(again.trainer, restarts=1)))
    deleted(persisted(later(told(with_pod(work, again)), GRACE)))


@pytest.mark.parametrize(
    "sidecar", [ContainerView("spot-sidecar", "terminated"), ContainerView("spot-sidecar")]
)
def test_without_a_sidecar_that_runs_there_is_nothing_to_wait_for(sidecar: ContainerView) -> None:
    work = at_work()
    pod = replace(work.pods[0], sidecar=sidecar)
    deleted(over(1, PROXY, work=with_pod(work, pod)))


def test_what_has_been_finished_is_stored_already() -> None:
    work = at_work()
    reports = {work.pods[0].uid: a_report(word=a_word("Finished"))}
    seen = over(0, PROXY, work=persisted(replace(work, reports=reports)))
    assert not seen.pods[0].told_of_end
    deleted(seen)


def test_a_sidecar_whose_pod_the_kubelet_does_not_end_is_told_and_says_when_it_is_done() -> None:
    work = at_work()
    (pod,) = work.pods
    seen = with_pod(work, beside(exited(pod, 1), PROXY))
    (action,) = expect_actions(seen)
    assert isinstance(action, AnnotatePod)
    assert (action.uid, list(action.annotations)) == (pod.uid, [ANNOTATION_ENDED])
    waits = told(seen)
    expect_rest(waits)
    deleted(persisted(replace(waits, reports={pod.uid: a_report(settled=True)})))


def test_a_sidecar_that_the_kubelet_tells_is_not_told_by_us() -> None:
    assert not over(1, a_companion("mesh", is_init=True)).pods[0].told_of_end
    assert not over(1, PROXY, work=dying()).pods[0].told_of_end


def dying() -> Snapshot:
    """An attempt whose pod somebody deletes."""
    work = at_work()
    return with_pod(work, terminating(work.pods[0], after(GRACE)))


def test_the_sidecar_has_the_grace_for_its_last_upload_before_anybody_is_told_to_end() -> None:
    """A container that does not heed SIGTERM would use it up."""
    seen = over(1, PROXY)
    rest = expect_rest(persisted(later(seen, GRACE - 1)))
    assert rest.wake_after is not None
    assert rest.wake_after.total_seconds() <= 1
    deleted(persisted(later(seen, GRACE)))


def test_another_leaders_clock_shortens_no_upload() -> None:
    """One that has just come, and whose clock is an hour ahead, waits the whole grace itself."""
    seen = over(1, PROXY)
    fresh = seeing(*seen.nodes.values(), leading_for=1.0)
    expect_rest(persisted(later(seen, 3600, visibility=fresh)))
    old = seeing(*seen.nodes.values(), leading_for=GRACE + 1.0)
    deleted(persisted(later(seen, 3600, visibility=old)))


# --- a trainer that has said its last word, and stays ------------------------------------------


INTERRUPTION = "Interruption"
LINGERING: dict[str, tuple[Word, str, str | None]] = {
    "finished": (a_word("Finished"), "Completed", None),
    "paused": (a_word("Paused"), "Paused", "Interruption"),
    "refused": (a_word("Refused", "the data set is empty"), "TrainerRefused", None),
}
HALTED_ONES: dict[str, tuple[Word, str, str | None]] = {
    # A shell that runs the script again after each crash: its container never ends, and the
    # sidecar lets no process begin twice.
    "begun again": (a_word("StartedAgain", "in its own container"), "TrainerFailed", "Failure"),
    "run again by its kubelet": (a_word("Resurrected", "it was"), "Resurrected", INTERRUPTION),
    "behind a later attempt": (
        a_word("Superseded", "attempt 2 has begun"),
        "Unknown",
        INTERRUPTION,
    ),
    "on a bad node": (a_word("BadNode", "two candidates differ"), "BadNode", INTERRUPTION),
    "without a checkpoint": (a_word("NoValidCheckpoint", "none"), "NoValidCheckpoint", None),
}


def lingering(word: Word, age: float, **report: Any) -> Snapshot:
    work = at_work()
    said = a_report(word=word, word_age=age, notice=a_notice("Maintenance"), **report)
    return persisted(replace(later(work, 86_400), reports={work.pods[0].uid: said}))


@pytest.mark.parametrize("case", HALTED_ONES.values(), ids=HALTED_ONES)
def test_one_that_its_sidecar_lets_do_nothing_more_is_ended_soon(
    case: tuple[Word, str, str | None],
) -> None:
    word, ending, charge = case
    expect_rest(lingering(word, HALTED.total_seconds() - 1))
    stopping = deleted(lingering(word, HALTED.total_seconds()))
    (pod,) = stopping.pods
    killed = with_pod(stopping, replace(exited(pod, 137), phase="Running"))
    assert expect_ending(ended(killed).ledger, ending).charged == charge


@pytest.mark.parametrize("case", HALTED_ONES.values(), ids=HALTED_ONES)
def test_until_then_the_job_says_what_its_sidecar_stopped_it_for(
    case: tuple[Word, str, str | None],
) -> None:
    word = case[0]
    ending = persisted(lingering(word, 1.0, state="Ended"))
    found = the_condition(ending.ledger, Condition.RUNNING)
    assert (found.status, found.reason) == ("False", "Draining")
    assert word.reason in found.message


@pytest.mark.parametrize("case", LINGERING.values(), ids=LINGERING)
def test_one_whose_process_does_not_end_is_ended_and_its_word_stands(
    case: tuple[Word, str, str | None],
) -> None:
    word, ending, charge = case
    rest = expect_rest(lingering(word, PATIENCE - 1))
    assert rest.wake_after is not None
    assert rest.wake_after.total_seconds() <= 1
    stopping = deleted(lingering(word, PATIENCE))
    (pod,) = stopping.pods
    killed = with_pod(stopping, replace(exited(pod, 137), phase="Running"))
    assert expect_ending(ended(killed).ledger, ending).charged == charge


def test_the_patience_counts_from_the_word_and_not_from_the_last_step() -> None:
    """The last checkpoint may take its time."""
    expect_rest(lingering(a_word("Finished"), 1.0, step_age=86_400.0))


def test_a_new_leader_is_patient_anew() -> None:
    lingers = lingering(a_word("Finished"), 1.0)
    mute = replace(lingers, reports={})
    fresh = seeing(*mute.nodes.values(), leading_for=1.0)
    expect_rest(persisted(later(mute, 86_400, visibility=fresh)))
    assert persisted(later(mute, 86_400)).ledger.state is State.STOPPING


def test_one_that_has_said_nothing_is_never_ended_for_its_silence() -> None:
    work = at_work()
    mute = {work.pods[0].uid: a_report(state="Ended", step_age=86_400.0)}
    assert persisted(replace(later(work, 86_400), reports=mute)).ledger.state is State.CREATED


# --- evidence that comes before, with and after the trainer's end -------------------------------


def test_the_sidecars_word_may_come_with_the_pods_end_alone() -> None:
    """No report came through: when the trainer's exit 0 is seen, nobody knows of the marker."""
    seen = over(0, PROXY, work=at_work(report=a_report(age=600.0)))
    final = ended(deleted(persisted(later(seen, GRACE))), word="Finished")
    assert expect_ending(final.ledger, "Completed").charged is None


@pytest.mark.parametrize(
    ("reason", "pod_reason", "ending"),
    [
        ("TerminationByKubelet", "Terminated", "Preempted"),
        ("TerminationByKubelet", "Evicted", "Evicted"),
        ("", "Evicted", "Evicted"),
        ("", "Terminated", "Preempted"),
    ],
)
def test_the_kubelet_says_why_it_ended_the_pod_only_when_it_has_ended(
    reason: str, pod_reason: str, ending: str
) -> None:
    """The trainer is among the first to go, and for a while looks like one that failed."""
    seen = over(143, PROXY)
    (pod,) = seen.pods
    whole = disrupted(pod, reason) if reason else pod
    final = ended(with_pod(seen, replace(whole, reason=pod_reason)))
    expect_ending(final.ledger, ending)


@pytest.mark.parametrize(
    "reason",
    [
        "EvictionByEvictionAPI",
        "DeletionByTaintManager",
        "DeletionByDeviceTaintManager",
        "DeletionByPodGC",
        "PreemptionByScheduler",
    ],
)
def test_a_disruption_after_the_trainers_end_is_not_its_cause(reason: str) -> None:
    """Whoever asks for the end of a pod says so before anything in it is touched."""
    seen = over(1, PROXY)
    (pod,) = seen.pods
    late = with_pod(seen, terminating(disrupted(pod, reason), after(GRACE)))
    expect_ending(ended(late).ledger, "TrainerFailed")


@pytest.mark.parametrize("reason", ["", "EvictionByEvictionAPI"])
def test_a_deletion_before_the_trainers_end_is_its_cause(reason: str) -> None:
    work = at_work()
    (pod,) = work.pods
    asked = disrupted(pod, reason) if reason else pod
    work = with_pod(work, terminating(asked, after(GRACE)))
    seen = over(143, PROXY, work=work)
    expect_ending(ended(seen).ledger, "Evicted" if reason else "Deleted")


def test_a_person_who_deletes_the_pod_after_the_trainers_end_ends_nothing() -> None:
    seen = over(1, PROXY)
    (pod,) = seen.pods
    final = ended(with_pod(seen, terminating(pod, after(GRACE))))
    expect_ending(final.ledger, "TrainerFailed")


def test_a_node_lost_after_the_trainers_end_has_not_caused_it() -> None:
    seen = over(1, PROXY)
    lost = persisted(replace(seen, nodes={}))
    assert expect_ending(lost.ledger, "TrainerFailed").charged == "Failure"


@pytest.mark.parametrize("code", [0, 1, 143, 255])
@pytest.mark.parametrize(
    "machine", [{"boot_id": "boot-2-of-node-1"}, {"uid": "another", "boot_id": "boot-1"}]
)
def test_a_machine_that_goes_down_ends_the_trainer_first(
    code: int, machine: dict[str, str]
) -> None:
    """Without a graceful shutdown the kubelet's last news may be the trainer's end alone."""
    seen = over(code, PROXY)
    node = replace(seen.nodes["node-1"], **machine)  # type: ignore[arg-type]
    back = persisted(later(seen, 40, nodes={**seen.nodes, "node-1": node}))
    assert expect_ending(back.ledger, "NodeLost").charged == "Interruption"


def test_a_reboot_long_after_the_trainers_end_has_not_caused_it() -> None:
    seen = over(1, PROXY)
    node = replace(seen.nodes["node-1"], boot_id="boot-2-of-node-1")
    back = persisted(later(seen, 400, nodes={**seen.nodes, "node-1": node}))
    expect_ending(back.ledger, "TrainerFailed")


def test_a_node_that_rebooted_explains_a_status_that_says_nothing() -> None:
    """The pod's news come before the node's new boot id: two watches have no order."""
    work = at_work()
    unknown = exited(work.pods[0], 255, "Unknown")
    seen = with_pod(work, beside(unknown, PROXY))
    node = replace(seen.nodes["node-1"], boot_id="boot-2-of-node-1")
    rebooted = persisted(replace(seen, nodes={**seen.nodes, "node-1": node}))
    expect_ending(rebooted.ledger, "NodeLost")


def test_a_notice_after_the_trainers_end_does_not_spoil_its_success() -> None:
    seen = over(0, PROXY, work=at_work(job=a_job(completion="ExitCode")))
    (pod,) = seen.pods
    noticed = replace(pod, notice=a_notice("Preempt", observed=60))
    heard = {pod.uid: a_report(notice=a_notice("PodDeletion", observed=90))}
    seen = persisted(replace(later(seen, 100), pods=(noticed,), reports=heard))
    assert the_rank(seen.ledger).notice is None
    expect_ending(ended(deleted(persisted(later(seen, GRACE)))).ledger, "Completed")


def test_a_notice_of_before_the_trainers_end_may_be_told_with_the_last_word() -> None:
    seen = over(0, PROXY)
    notice = {"kind": "Preempt", "observedAt": after(-5).isoformat(), "deadline": None}
    final = ended(deleted(persisted(later(seen, GRACE))), word="Paused", notice=notice)
    expect_ending(final.ledger, "Paused")


def test_a_suspended_attempt_that_had_finished_is_complete() -> None:
    work = at_work()
    suspended = persisted(replace(work, job=a_job(suspend=True)))
    assert suspended.ledger.stopping is not None
    assert suspended.ledger.stopping.cause == "Suspended"
    pod = terminating(beside(exited(suspended.pods[0], 0), PROXY), after(GRACE))
    expect_ending(ended(with_pod(suspended, pod), word="Finished").ledger, "Completed")


def test_a_failure_of_one_attempt_beside_a_proxy_is_charged_once() -> None:
    policy = a_default_policy(failures={"max": 3})
    seen = over(1, PROXY, work=at_work(policies=(policy,)))
    final = ended(deleted(persisted(later(seen, GRACE))))
    assert final.ledger.budgets.failures == 1
    again = persisted(later(final, 3600))
    assert again.ledger.budgets.failures == 1


def test_a_companion_that_fails_ends_nothing() -> None:
    work = at_work()
    broken = ContainerView("logs", "terminated", reason="Error", exit_code=1)
    alone = with_pod(work, beside(running(work.pods[0]), broken))
    assert alone.ledger.state is State.CREATED
