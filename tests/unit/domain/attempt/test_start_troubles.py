"""Pods that do not come up: told at once, given up when patience ends, and by which cause."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from kit.builders import (
    NOW,
    a_default_policy,
    a_job,
    a_pod,
    a_snapshot,
    after,
    bound,
    exited,
    expect_actions,
    expect_ending,
    expect_write,
    gone,
    later,
    persisted,
    running,
    seeing,
    the_condition,
    the_rank,
    waiting,
)
from kit.jobs import with_prepare
from spot_operator.api.names import Condition, Ending, Reason, State
from spot_operator.domain.actions import DeletePod
from spot_operator.domain.attempt.start_problems import (
    ELSEWHERE_PATIENCE,
    MOUNTS_PATIENCE,
    PLATFORM_PATIENCE,
    SIDECAR_RESTARTS,
    ending_by,
    told_as,
    trouble_of,
)
from spot_operator.domain.observed.snapshot import ContainerView, PodView, Snapshot
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import Charge, Trouble

STUCK = bound(a_pod())


def found(pod: PodView, known: Trouble | None, now: datetime) -> Trouble:
    """The trouble, which there is."""
    trouble = trouble_of(pod, known, now)
    assert trouble is not None
    return trouble


@pytest.mark.parametrize(
    ("reason", "message", "family", "patience"),
    [
        ("InvalidImageName", "couldn't parse image", "Image", 0),
        ("ErrImageNeverPull", "", "Image", 0),
        ("ErrImagePull", "manifest unknown", "Image", 10),
        ("ErrImagePull", "pull access denied", "Image", 10),
        ("SignatureValidationFailed", "rejected by policy", "Image", 10),
        ("CreateContainerConfigError", 'secret "store-keys" not found', "Config", 60),
        ("RunContainerError", 'exec: "trian": no such file', "Container", 60),
        ("RunContainerError", 'exec: "runcmd.sh": permission denied', "Container", 60),
        (
            "RunContainerError",
            'failed to create shim task: exec: "trian": executable file not found in $PATH',
            "Container",
            60,
        ),
    ],
)
def test_what_the_template_is_to_blame_for_ends_the_first_attempt(
    reason: str, message: str, family: str, patience: int
) -> None:
    trouble = found(waiting(STUCK, reason, message), None, NOW)
    assert (trouble.family, trouble.reason, trouble.patience) == (family, reason, patience)
    assert "container trainer" in trouble.message
    assert ending_by(trouble, started=False) is Ending.START_FAILED


@pytest.mark.parametrize(
    ("reason", "message", "family"),
    [
        ("ImagePullBackOff", 'Back-off pulling image "digits:1"', "Registry"),
        ("ErrImagePull", "dial tcp: i/o timeout", "Registry"),
        ("ErrImagePull", "toomanyrequests: You have reached your pull rate limit", "Registry"),
        ("ErrImagePull", "unexpected status: 503 Service Unavailable", "Registry"),
        ("ErrImagePull", "denied: Quota exceeded for requests", "Registry"),
        ("ErrImagePull", "content digest sha256:0123: not found", "Registry"),
        ("RegistryUnavailable", "image pull failed", "Registry"),
        ("CreateContainerConfigError", "failed to sync secret cache: timed out", "Node"),
        ("CreateContainerError", 'failed to reserve container name "a": is reserved for b', "Node"),
        ("CreateContainerError", "context deadline exceeded", "Node"),
        ("RunContainerError", "no such file", "Node"),
        ("RunContainerError", 'exec: "/usr/bin/runc": no such file', "Node"),
        ("RunContainerError", "nvidia-container-cli: initialization error", "Node"),
        ("PreCreateHookError", "", "Node"),
        ("AReasonOfTomorrow", "", "Node"),
    ],
)
def test_what_is_not_certainly_the_templates_is_the_platforms(
    reason: str, message: str, family: str
) -> None:
    trouble = found(waiting(STUCK, reason, message), None, NOW)
    assert (trouble.family, trouble.patience) == (family, PLATFORM_PATIENCE)
    assert ending_by(trouble, started=False) is Ending.PLATFORM_TROUBLE
    doubt = "if every node says the same, correct spec.template in a new job"
    assert (doubt in trouble.message) is (family == "Node")


@pytest.mark.parametrize(
    ("reason", "message", "told"),
    [
        ("ErrImagePull", "x: not found", Reason.REGISTRY_TROUBLE),
        ("CreateContainerConfigError", 'secret "x" not found', Reason.VOLUME_TROUBLE),
        ("CreateContainerError", "no command specified", Reason.NODE_TROUBLE),
        ("CrashLoopBackOff", "back-off 10s restarting", Reason.NODE_TROUBLE),
    ],
)
def test_once_a_trainer_has_started_nothing_of_the_start_is_the_jobs(
    reason: str, message: str, told: Reason
) -> None:
    stuck = waiting(STUCK, reason, message)
    trouble = trouble_of(stuck, None, NOW, started=True)
    assert trouble is not None
    assert ending_by(trouble, started=True) is Ending.PLATFORM_TROUBLE
    assert told_as(trouble) is told
    assert "an earlier start has proved the template" in trouble.message
    assert trouble.patience >= ELSEWHERE_PATIENCE


@pytest.mark.parametrize(
    ("reason", "message", "family", "patience"),
    [
        ("ErrImagePull", "sidecar:2: not found", "SidecarImage", ELSEWHERE_PATIENCE),
        ("ImagePullBackOff", "i/o timeout", "SidecarImage", PLATFORM_PATIENCE),
        ("ErrImageNeverPull", "", "SidecarImage", PLATFORM_PATIENCE),
        ("CreateContainerConfigError", "", "Sidecar", PLATFORM_PATIENCE),
        ("RunContainerError", "no such file", "Sidecar", PLATFORM_PATIENCE),
    ],
)
@pytest.mark.parametrize("started", [False, True])
def test_the_sidecar_is_never_the_jobs(
    reason: str, message: str, family: str, patience: int, started: bool
) -> None:
    stuck = waiting(STUCK, reason, message, container="spot-sidecar")
    trouble = trouble_of(stuck, None, NOW, started=started)
    assert trouble is not None
    assert (trouble.family, trouble.patience) == (family, patience)
    assert ending_by(trouble, started=started) is Ending.PLATFORM_TROUBLE
    assert told_as(trouble) is Reason.SIDECAR_TROUBLE
    assert "sidecar.image" in trouble.message
    assert "spec.template" not in trouble.message


def test_long_words_of_a_kubelet_leave_room_for_what_to_do() -> None:
    stuck = waiting(STUCK, "ErrImagePull", "é" * 2000, container="spot-sidecar")
    assert "Nothing is charged" in found(stuck, None, NOW).message


@pytest.mark.parametrize("reason", ["ErrImagePull", "RunContainerError", "PostStartHookError"])
@pytest.mark.parametrize("said", ["x" * 10**6, "a/" * 10**6, "exec: " * 10**6, '"' * 10**6])
def test_whatever_a_hook_writes_is_read_in_no_time(reason: str, said: str) -> None:
    stuck = waiting(STUCK, reason, f"{said}: unable to find user x")
    assert len(found(stuck, None, NOW).message) < 1000


@pytest.mark.parametrize(
    "pod",
    [
        a_pod(),
        waiting(a_pod(), "ErrImagePull"),
        waiting(STUCK, "ContainerCreating"),
        waiting(STUCK, "PodInitializing"),
        running(a_pod()),
    ],
)
def test_an_ordinary_start_is_no_trouble(pod: PodView) -> None:
    assert trouble_of(pod, None, NOW) is None


def test_a_retry_of_the_kubelet_is_the_same_trouble() -> None:
    first = found(waiting(STUCK, "ErrImagePull"), None, NOW)
    assert found(waiting(STUCK, "ImagePullBackOff"), first, after(20)) == first
    assert trouble_of(running(STUCK), first, after(30)) is None


def test_a_definite_answer_is_not_forgotten_while_the_kubelet_backs_off() -> None:
    unsure = found(waiting(STUCK, "ErrImagePull", "i/o timeout"), None, NOW)
    definite = found(waiting(STUCK, "ErrImagePull", "x: not found"), unsure, after(20))
    assert (definite.family, definite.since) == ("Image", after(20))
    backing_off = waiting(STUCK, "ImagePullBackOff", 'Back-off pulling image "x"')
    assert found(backing_off, definite, after(25)) == definite


def test_a_missing_secret_stays_one_trouble_while_the_kubelets_cache_stumbles() -> None:
    missing = found(waiting(STUCK, "CreateContainerConfigError", 'secret "x" not found'), None, NOW)
    stumbling = waiting(STUCK, "CreateContainerConfigError", "failed to sync secret cache")
    assert found(stumbling, missing, after(30)) == missing


def crashing(restarts: int) -> ContainerView:
    return ContainerView("spot-sidecar", "waiting", restarts=restarts, last_message="bad config")


def test_a_sidecar_that_ends_before_the_trainer_begins_is_a_trouble() -> None:
    trouble = found(replace(STUCK, sidecar=crashing(2)), None, NOW)
    assert (trouble.family, trouble.patience) == ("Sidecar", PLATFORM_PATIENCE)
    assert "bad config" in trouble.message


def test_a_sidecar_that_runs_again_is_no_trouble() -> None:
    well = ContainerView("spot-sidecar", "running", restarts=3, started_at=NOW)
    assert trouble_of(replace(STUCK, sidecar=well), None, NOW) is None


def test_a_sidecar_that_comes_and_goes_has_its_time_too() -> None:
    trouble = found(replace(STUCK, sidecar=crashing(SIDECAR_RESTARTS)), None, NOW)
    assert trouble.patience == 0


def test_mounts_that_never_come_are_a_trouble_after_half_an_hour() -> None:
    stuck = waiting(STUCK, "ContainerCreating")
    short = MOUNTS_PATIENCE - timedelta(seconds=1)
    assert trouble_of(stuck, None, NOW, placed_for=short) is None
    trouble = trouble_of(stuck, None, NOW, placed_for=MOUNTS_PATIENCE)
    assert trouble is not None
    assert (trouble.family, trouble.patience) == ("Mounts", 0)


def begun(pod: PodView) -> Snapshot:
    fresh = persisted(a_snapshot(policies=(a_default_policy(),)))
    return replace(fresh, pods=(pod,))


def test_a_missing_image_ends_as_start_failed_and_is_a_failure() -> None:
    stuck = waiting(STUCK, "ErrImagePull", "digits:1: not found")
    told = persisted(begun(stuck))
    trouble = the_rank(told.ledger).trouble
    assert trouble is not None
    assert trouble.reason == "ErrImagePull"
    summary = the_condition(told.ledger, Condition.SUCCEEDED)
    assert "digits:1: not found; correct the image name" in summary.message
    stopping = persisted(later(told, 10))
    assert stopping.ledger.state is State.STOPPING
    (deletion,) = expect_actions(stopping)
    assert isinstance(deletion, DeletePod)
    assert deletion.grace_seconds is None
    over = expect_write(replace(stopping, pods=(gone(exited(stuck, 137)),)))
    record = expect_ending(over, "StartFailed")
    assert record.charged is Charge.FAILURE
    assert "digits:1: not found" in record.message
    assert over.not_before is not None


def test_a_failed_init_container_is_named() -> None:
    prepare = ContainerView(
        "prepare", "terminated", exit_code=3, message="no such bucket", started_at=NOW
    )
    pod = replace(bound(a_pod()), phase="Failed", others=(prepare,))
    own = replace(begun(pod), job=a_job(template=with_prepare()))
    record = expect_ending(expect_write(own), "StartFailed")
    assert "container prepare exited with 3: no such bucket" in record.message


@pytest.mark.parametrize("code", [1, 137, 143])
@pytest.mark.parametrize("name", ["istio-proxy", "prepare-network"])
def test_an_init_container_that_fails_is_named_before_those_that_stay(name: str, code: int) -> None:
    """The kubelet ends a native sidecar because the init container failed, not the reverse."""
    proxy = ContainerView(name, "terminated", "Error", exit_code=code, is_init=True, stays=True)
    prepare = ContainerView(
        "prepare", "terminated", "Error", "no such bucket", exit_code=3, is_init=True
    )
    pod = replace(bound(a_pod()), phase="Failed", others=(proxy, prepare))
    own = replace(begun(pod), job=a_job(template=with_prepare()))
    record = expect_ending(expect_write(own), "StartFailed")
    assert record.charged is Charge.FAILURE
    assert "container prepare exited with 3: no such bucket" in record.message
    assert record.last_lines == "no such bucket"


def test_a_proxy_that_is_ended_after_the_trainer_says_nothing_of_the_trainers_end() -> None:
    proxy = ContainerView("istio-proxy", "terminated", "Error", "caught SIGTERM", exit_code=143)
    pod = replace(exited(running(a_pod()), 1), others=(proxy,))
    record = expect_ending(expect_write(begun(pod)), "TrainerFailed")
    assert record.message == "the trainer exited with 1"
    assert not record.last_lines


def behind(snapshot: Snapshot) -> Snapshot:
    """The leader's own watches are silent."""
    return replace(snapshot, visibility=replace(snapshot.visibility, fresh=False))


def cut_off(snapshot: Snapshot) -> Snapshot:
    """The kubelet cannot reach the API server; the other nodes can."""
    nodes = {**snapshot.nodes, "node-1": replace(snapshot.nodes["node-1"], lease_age=30.0)}
    return replace(snapshot, nodes=nodes, visibility=seeing(*nodes.values()))


def heard_again(snapshot: Snapshot) -> Snapshot:
    """It reached it a moment ago; what it says of pods comes after its lease."""
    ages = {**snapshot.visibility.leases, "node-1": (2.0, 92.0, 102.0)}
    return replace(snapshot, visibility=replace(snapshot.visibility, leases=ages))


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ErrImagePull", "manifest unknown"),
        ("CreateContainerConfigError", 'secret "keys" not found'),
        ("ImagePullBackOff", "toomanyrequests"),
    ],
)
@pytest.mark.parametrize("silent", [behind, cut_off, heard_again])
def test_an_old_view_of_a_trouble_ends_no_attempt(
    silent: Callable[[Snapshot], Snapshot], reason: str, message: str
) -> None:
    snapshot = persisted(a_snapshot(policies=(a_default_policy(),)))
    stuck = persisted(replace(snapshot, pods=(waiting(STUCK, reason, message),)))

    blind = persisted(silent(later(stuck, PLATFORM_PATIENCE + 1)))

    assert blind.ledger.state is State.CREATED
    wake = plan(blind).wake_after
    assert wake is not None
    assert timedelta(seconds=1) <= wake <= timedelta(seconds=10)
    assert persisted(replace(stuck, now=blind.now)).ledger.state is State.STOPPING
    trains = persisted(replace(blind, visibility=stuck.visibility, pods=(running(STUCK),)))
    assert trains.ledger.state is State.CREATED
