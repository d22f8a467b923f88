"""What keeps a job from starting costs it nothing once it has started: waited for, and told."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from kit.builders import (
    NOW,
    a_commit,
    a_default_policy,
    a_job,
    a_pod,
    a_report,
    a_snapshot,
    at_work,
    beside,
    bound,
    committed,
    exited,
    expect_ending,
    expect_rest,
    gone,
    later,
    persisted,
    running,
    the_condition,
    the_rank,
    waiting,
)
from kit.jobs import with_prepare
from spot_operator.api.names import Condition, State
from spot_operator.domain.observed.snapshot import ContainerView, PodView, Refusal, Snapshot
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import AttemptRecord, Charge
from spot_operator.domain.state.status import ledger_of, status_of

Stuck = Callable[[PodView], PodView]
JOB = a_job(template=with_prepare())
POLICY = a_default_policy(failures={"max": 0}, interruptions={"max": 1})


def sidecar_missing(pod: PodView) -> PodView:
    return waiting(pod, "ErrImagePull", "sidecar:2: not found", container="spot-sidecar")


def sidecar_crashing(pod: PodView) -> PodView:
    last = ContainerView("spot-sidecar", "waiting", "CrashLoopBackOff", restarts=3)
    return replace(pod, sidecar=last)


def rate_limited(pod: PodView) -> PodView:
    return waiting(pod, "ImagePullBackOff", "toomanyrequests: pull rate limit")


def deleted_image(pod: PodView) -> PodView:
    return waiting(pod, "ErrImagePull", "digits:1: not found")


def no_secret(pod: PodView) -> PodView:
    return waiting(pod, "CreateContainerConfigError", 'secret "keys" not found')


def no_volume(pod: PodView) -> PodView:
    return waiting(pod, "ContainerCreating")


def failed_init(pod: PodView) -> PodView:
    prepare = ContainerView("prepare", "terminated", "Error", exit_code=3, started_at=NOW)
    return replace(pod, phase="Failed", others=(prepare,))


def start_error(pod: PodView) -> PodView:
    failed = ContainerView(
        "trainer", "terminated", "StartError", 'exec: "trian": no such file', 128, finished_at=NOW
    )
    return replace(pod, phase="Failed", trainer=failed)


TROUBLES: tuple[Stuck, ...] = (
    sidecar_missing,
    sidecar_crashing,
    rate_limited,
    deleted_image,
    no_secret,
    no_volume,
    failed_init,
    start_error,
)


def next_attempt(snapshot: Snapshot, stuck: Stuck) -> Snapshot:
    """The pod of the current attempt gets so far and no further."""
    pod = stuck(bound(a_pod(snapshot.ledger.attempt)))
    return persisted(replace(snapshot, pods=(pod,), reports={}))


def given_up(snapshot: Snapshot) -> Snapshot:
    """After the longest patience its pod was ended, and the next attempt's time has come."""
    stopped = persisted(later(snapshot, 1800))
    ended = tuple(gone(replace(pod, phase="Failed")) for pod in stopped.pods)
    over = persisted(later(stopped, 5, pods=ended))
    due = over.ledger.not_before
    return over if due is None else persisted(replace(over, now=due, pods=()))


def trained() -> Snapshot:
    """A job that has a checkpoint and lost its node; it has no failure and no interruption left."""
    work = at_work(report=committed(a_report(step=120), a_commit()), policies=(POLICY,))
    left = {name: node for name, node in work.nodes.items() if name != "node-1"}
    lost = persisted(replace(work, pods=(), nodes=left))
    return replace(lost, nodes=a_snapshot().nodes)


@pytest.mark.parametrize("stuck", TROUBLES)
def test_trouble_under_a_job_that_has_trained_ends_it_never(stuck: Stuck) -> None:
    snapshot = trained()
    before = snapshot.ledger.budgets
    for _ in range(30):
        snapshot = given_up(next_attempt(snapshot, stuck))
        record = expect_ending(snapshot.ledger, "PlatformTrouble")
        assert record.charged is None
    assert snapshot.ledger.state is not State.FINISHED
    assert snapshot.ledger.budgets == before
    assert snapshot.ledger.checkpoint.newest is not None


@pytest.mark.parametrize("stuck", [sidecar_missing, sidecar_crashing, rate_limited])
def test_what_is_never_the_jobs_ends_no_job_that_never_started(stuck: Stuck) -> None:
    snapshot = persisted(a_snapshot(policies=(POLICY,)))
    for _ in range(5):
        snapshot = given_up(next_attempt(snapshot, stuck))
        assert expect_ending(snapshot.ledger, "PlatformTrouble").charged is None
    assert snapshot.ledger.state is not State.FINISHED


@pytest.mark.parametrize("stuck", [deleted_image, no_secret, no_volume, failed_init, start_error])
def test_a_template_that_never_worked_is_a_failure(stuck: Stuck) -> None:
    snapshot = given_up(next_attempt(persisted(a_snapshot(job=JOB, policies=(POLICY,))), stuck))
    expect_ending(snapshot.ledger, "StartFailed")
    assert snapshot.ledger.state is State.FINISHED


def test_the_waits_between_grow_to_the_policys_longest() -> None:
    snapshot, waits = trained(), []
    for _ in range(9):
        stopped = persisted(later(next_attempt(snapshot, rate_limited), 600))
        ended = tuple(gone(replace(pod, phase="Failed")) for pod in stopped.pods)
        over = persisted(later(stopped, 5, pods=ended))
        due = over.ledger.not_before
        waits.append((due - over.now).total_seconds() if due is not None else 0.0)
        snapshot = persisted(replace(over, now=due or over.now, pods=()))
    assert waits[0] == 0
    assert waits == sorted(waits)
    assert waits[-1] == POLICY.spec.backoff.max.total_seconds()


@pytest.mark.parametrize("stuck", TROUBLES[:5])
def test_while_it_waits_nothing_is_written(stuck: Stuck) -> None:
    waits = next_attempt(trained(), stuck)
    for seconds in range(0, 59, 5):
        made = plan(later(waits, seconds))
        assert made.ledger is None
        assert made.actions == ()
    assert expect_rest(waits).wake_after is not None


@pytest.mark.parametrize(
    ("stuck", "reason", "word"),
    [
        (sidecar_missing, "SidecarTrouble", "sidecar.image"),
        (sidecar_crashing, "SidecarTrouble", "the operator's"),
        (rate_limited, "RegistryTrouble", "a registry is at fault"),
        (deleted_image, "RegistryTrouble", "digits:1: not found"),
        (no_secret, "VolumeTrouble", 'secret "keys" not found'),
        (lambda pod: waiting(pod, "AReasonOfTomorrow"), "NodeTrouble", "AReasonOfTomorrow"),
    ],
)
def test_a_condition_and_an_event_name_the_owner(stuck: Stuck, reason: str, word: str) -> None:
    before = trained()
    pod = stuck(bound(a_pod(before.ledger.attempt)))
    seen = replace(before, pods=(pod,), reports={})
    events = plan(seen).events
    summary = the_condition(persisted(seen).ledger, Condition.SUCCEEDED)
    assert (summary.status, summary.reason) == ("Unknown", reason)
    assert word in summary.message
    assert "spec.template" not in summary.message
    assert [one.reason for one in events if one.type == "Warning"] == ["PlatformTrouble"]


def test_a_trouble_that_passes_leaves_no_trace() -> None:
    waits = next_attempt(trained(), rate_limited)
    well = persisted(later(waits, 300, pods=(running(a_pod(waits.ledger.attempt)),)))
    assert well.ledger.state is State.CREATED
    assert the_rank(well.ledger).trouble is None
    assert the_condition(well.ledger, Condition.SUCCEEDED).reason == "InProgress"


def test_a_pod_that_the_server_took_before_and_refuses_now_costs_nothing() -> None:
    refusal = Refusal("digits-2-0", 422, "spec.containers[0].image: only signed images")
    stopping = persisted(replace(trained(), refusal=refusal))
    over = persisted(later(stopping, 20))
    record = expect_ending(over.ledger, "PlatformTrouble")
    assert record.charged is None
    assert "only signed images" in record.message


def test_one_rank_that_started_proves_the_template_for_all() -> None:
    gang = persisted(a_snapshot(policies=(POLICY,)))
    assert gang.job is not None
    first = running(a_pod(1, 0))
    ledger = persisted(replace(gang, pods=(first,))).ledger
    assert ledger.first_started == 1


def test_a_long_outage_does_not_drive_out_what_trained() -> None:
    snapshot = trained()
    for _ in range(25):
        snapshot = given_up(next_attempt(snapshot, rate_limited))
    numbers = [one.number for one in snapshot.ledger.attempts]
    assert numbers == [1, *range(9, 28)]
    assert ledger_of(status_of(snapshot.ledger)).first_started == 1


def test_without_an_idle_record_the_oldest_goes() -> None:
    ran = [AttemptRecord(number, NOW, NOW, charged=Charge.INTERRUPTION) for number in range(1, 21)]
    ledger = replace(trained().ledger, attempts=tuple(ran), attempt=20, state=State.WAITING)
    after = persisted(a_snapshot(ledger=ledger, policies=(POLICY,))).ledger
    assert [one.number for one in after.attempts] == list(range(2, 22))


def test_the_status_of_an_older_operator_shows_that_it_started() -> None:
    lost = trained()
    old = replace(lost.ledger, first_started=None)
    assert persisted(replace(lost, ledger=old)).ledger.first_started == 1
    long_ago = replace(old, attempts=old.attempts[-1:])
    assert persisted(replace(lost, ledger=long_ago)).ledger.first_started == 1
    assert not persisted(a_snapshot()).ledger.has_started


@pytest.mark.parametrize("code", [0, 1])
def test_a_trainer_seen_only_after_its_end_has_started(code: int) -> None:
    quick = replace(
        persisted(a_snapshot(policies=(a_default_policy(),))), pods=(exited(a_pod(), code),)
    )
    over = persisted(quick)
    assert expect_ending(over.ledger, "TrainerFailed").charged is Charge.FAILURE
    assert over.ledger.has_started


@pytest.mark.parametrize("name", ["log-shipper", "tensorboard"])
def test_a_container_beside_the_trainer_gives_no_attempt_up_while_its_image_is_pulled(
    name: str,
) -> None:
    """It does not hold the trainer back, whoever added it, and a large image takes a while."""
    template = {
        "spec": {"containers": [{"name": one, "image": "i"} for one in ("trainer", "tensorboard")]}
    }
    stuck = ContainerView(name, "waiting", "ErrImagePull", f"{name}:1: not found")
    work = at_work(a_job(template=template))
    elsewhere = {key: node for key, node in work.nodes.items() if key != "node-1"}
    lost = replace(persisted(replace(work, pods=(), nodes=elsewhere)), nodes=work.nodes)
    pulling = replace(
        bound(a_pod(lost.ledger.attempt)),
        others=(stuck,),
        trainer=ContainerView("trainer", "waiting", "ContainerCreating"),
    )
    seen = persisted(later(replace(lost, pods=(pulling,), reports={}), 5))
    seen = persisted(later(seen, 1500))
    assert seen.ledger.state is State.CREATED
    assert the_condition(seen.ledger, Condition.SUCCEEDED).reason in {
        "NodeTrouble",
        "RegistryTrouble",
    }
    trains = persisted(later(seen, 5, pods=(beside(running(pulling), stuck),)))
    assert the_rank(trains.ledger).trouble is None
    late = persisted(later(seen, 400))
    assert late.ledger.stopping is not None
    assert late.ledger.stopping.cause == "PlatformTrouble"
