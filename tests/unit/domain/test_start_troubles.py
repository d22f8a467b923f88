"""Pods that do not come up: told at once, given up when patience ends, and by which cause."""

from dataclasses import replace
from datetime import datetime

import pytest
from kit.builders import (
    NOW,
    a_default_policy,
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
    the_condition,
    the_rank,
    waiting,
)
from spot_operator.api.names import Condition, State
from spot_operator.domain.actions import DeletePod
from spot_operator.domain.ledger import Charge, Trouble
from spot_operator.domain.snapshot import ContainerView, PodView, Snapshot
from spot_operator.domain.start_troubles import overdue, trouble_of

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
        ("ImagePullBackOff", "dial tcp: i/o timeout", "Image", 60),
        ("ErrImagePull", "manifest unknown", "Image", 10),
        ("ErrImagePull", "pull access denied", "Image", 10),
        ("CreateContainerConfigError", 'secret "store-keys" not found', "Config", 60),
        ("RunContainerError", "no such file", "Container", 60),
    ],
)
@pytest.mark.parametrize("container", ["trainer", "spot-sidecar"])
def test_a_reason_of_the_kubelet_is_a_trouble(
    reason: str, message: str, family: str, patience: int, container: str
) -> None:
    trouble = found(waiting(STUCK, reason, message, container), None, NOW)
    assert (trouble.family, trouble.reason, trouble.patience) == (family, reason, patience)
    assert container in trouble.message
    assert overdue(trouble, after(patience))
    assert not patience or not overdue(trouble, after(patience - 1))


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


def test_a_sidecar_that_ends_before_the_trainer_begins_is_a_trouble() -> None:
    crashing = ContainerView("spot-sidecar", "waiting", restarts=2, last_message="bad config")
    trouble = found(replace(STUCK, sidecar=crashing), None, NOW)
    assert trouble.family == "Sidecar"
    assert "bad config" in trouble.message


def test_mounts_that_never_come_are_a_trouble_after_half_an_hour() -> None:
    stuck = waiting(STUCK, "ContainerCreating")
    assert trouble_of(stuck, None, after(1799)) is None
    assert overdue(found(stuck, None, after(1800)), after(1800))


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
    record = expect_ending(expect_write(begun(pod)), "StartFailed")
    assert "container prepare exited with 3: no such bucket" in record.message
