"""Whatever is stored, no pass fails: at the bounds of each field, and where rules let more pass."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kit.builders import (
    NOW,
    a_default_policy,
    a_job,
    a_notice,
    a_pod,
    a_snapshot,
    at_work,
    exited,
    gone,
    later,
    persisted,
    running,
    terminating,
)
from kit.jobs import a_job_manifest
from kit.manifests.paths import changed
from spot_operator.api.names import FINALIZER
from spot_operator.domain.formats.timestamps import clipped
from spot_operator.domain.observed.snapshot import JobView, PolicyView, Snapshot
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import Ledger, Notice, Purge, Stopping, Trouble
from spot_operator.domain.state.sample import filled
from spot_operator.domain.state.status import ledger_of, status_of
from spot_operator.reconcile.pod_view import pod_view
from spot_operator.reconcile.views import job_view, policy_view

LONGEST = "9999h999999m99999999s"
"""The longest that the form of a duration takes."""
DURATIONS = ("0s", "1s", "59s", "1m", "1h", "24h", "720h", "720h1s", LONGEST, "-1s", "", "1d")
NUMBERS = (-1, 0, 1, 10, 500, 501, 86_400, 31_536_000, 2**31, 2**63 - 1)
JOB_FIELDS: dict[str, tuple[Any, ...]] = {
    "spec.stallTimeout": DURATIONS,
    "spec.checkpoint.interval": DURATIONS,
    "spec.checkpoint.maxLostWork": DURATIONS,
    "spec.checkpoint.keep.milestoneEvery": DURATIONS,
    "spec.checkpoint.keep.newest": NUMBERS,
    "spec.checkpoint.staging.sizeLimit": ("0", "1Mi", "8Ei", "1e30", *NUMBERS),
    "spec.ttlSecondsAfterFinished": NUMBERS,
    "spec.template.spec.terminationGracePeriodSeconds": NUMBERS,
}
POLICY_FIELDS: dict[str, tuple[Any, ...]] = {
    "spec.interruptions.max": NUMBERS,
    "spec.interruptions.window": DURATIONS,
    "spec.failures.max": NUMBERS,
    "spec.maxAttemptsWithoutProgress": NUMBERS,
    "spec.backoff.initial": DURATIONS,
    "spec.backoff.max": DURATIONS,
    "spec.backoff.factor": (0.0, 1.0, 1.5, 10.0, 10.5, 1e308, -1.0),
    "spec.checkpoint.maxLostWork": DURATIONS,
    "spec.unreachable.after": DURATIONS,
}


def rows(fields: dict[str, tuple[Any, ...]]) -> list[Any]:
    return [
        pytest.param(path, value, id=f"{path}={value}")
        for path, values in fields.items()
        for value in values
    ]


def a_stored_job(path: str, value: object) -> JobView:
    manifest = changed(a_job_manifest(checkpoint=CHECKPOINT), {path: value})
    manifest["metadata"] |= {
        "uid": "uid-of-digits",
        "resourceVersion": "7",
        "creationTimestamp": "2026-03-01T12:00:00Z",
        "finalizers": [FINALIZER],
    }
    return job_view(manifest)


CHECKPOINT = {"store": {"s3": {"bucket": "checkpoints"}}, "deletionPolicy": "Delete", "keep": {}}
CHECKPOINT |= {"staging": {}}


def lives(job: JobView, *policies: PolicyView) -> Iterator[Snapshot]:
    """The job at every stage of its life."""
    work = at_work(policies=(a_default_policy(),))
    work = replace(work, job=job, policies=policies)
    pod = replace(work.pods[0], grace_seconds=grace_of(job))
    ends = (exited(pod, 1), exited(pod, 0), gone(pod), terminating(pod), exited(pod, 93))
    for stage in (work, *(replace(work, pods=(end,)) for end in ends), replace(work, pods=())):
        yield stage
        over = persisted(stage)
        for passed in (1.0, 3_600.0, 40 * 86_400.0):
            yield later(over, passed)
            yield later(over, passed, pods=(), job=replace(job, deleting=True))


def grace_of(job: JobView) -> int:
    spec = job.spec.template.get("spec", {})
    pod = {"metadata": {"name": "p", "uid": "u"}, "spec": {"containers": [{"name": "t"}], **spec}}
    return pod_view({**pod, "status": {}}).grace_seconds


def expect_a_plan(snapshot: Snapshot) -> None:
    """A pass, and a status that can be stored and read again."""
    settled = persisted(snapshot)
    made = plan(settled)
    assert made.wake_after is None or timedelta(0) < made.wake_after < timedelta(days=40_000)
    assert ledger_of(status_of(settled.ledger)) == settled.ledger


@pytest.mark.parametrize(("path", "value"), rows(JOB_FIELDS))
def test_a_job_with_any_value_of_a_field(path: str, value: object) -> None:
    for stage in lives(a_stored_job(path, value), a_default_policy()):
        expect_a_plan(stage)


@pytest.mark.parametrize(("path", "value"), rows(POLICY_FIELDS))
def test_a_policy_with_any_value_of_a_field(path: str, value: object) -> None:
    manifest = changed({"metadata": {"name": "standard"}, "spec": {"default": True}}, {path: value})
    for stage in lives(a_job(), policy_view(manifest)):
        expect_a_plan(stage)


FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize("at", [clipped(FIRST), clipped(LAST), FIRST, LAST])
@pytest.mark.parametrize("grace", [0, 10**12, 2**63 - 1])
def test_a_status_with_any_instant_and_number(at: datetime, grace: int) -> None:
    for work in lives(a_job(ttlSecondsAfterFinished=60), a_default_policy()):
        ledger = work.ledger
        trouble = Trouble("Image", "ErrImagePull", "", at, grace)
        strained = {"grace": grace, "lost_at": at, "trouble": trouble}
        ranks = tuple(replace(one, **strained) for one in ledger.ranks)  # type: ignore[arg-type]
        attempts = tuple(replace(one, created_at=at, ended_at=at) for one in ledger.attempts)
        strange = replace(
            ledger,
            not_before=at,
            ranks=ranks,
            attempts=attempts,
            stopping=ledger.stopping and Stopping(at),
            purge=Purge(1 + grace % 7, at),
            progress=replace(ledger.progress, at=at),
        )
        expect_a_plan(replace(work, ledger=strange))


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path of a status to something that holds nothing else."""
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in inner:
            yield from leaves(each, (*path, key))
    else:
        yield path


def edited(status: Any, path: tuple[Any, ...], value: object) -> Any:
    """A status with another value at `path`."""
    if not path:
        return value
    changed_at = edited(status[path[0]], path[1:], value)
    if isinstance(status, list):
        return [changed_at if at == path[0] else one for at, one in enumerate(status)]
    return {**status, path[0]: changed_at}


FILLED = status_of(filled(Ledger))
EDITS = (-1, 0, 1, 2**63 - 1, 1e308, -0.5, "", "x", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")


@pytest.mark.parametrize("path", list(leaves(FILLED)), ids=lambda path: ".".join(map(str, path)))
def test_a_status_that_somebody_edits_is_read_or_is_none_of_ours(path: tuple[Any, ...]) -> None:
    for value in EDITS:
        with suppress(ValueError):
            # What raises it is told by an Event; anything else would be a fault of the operator.
            status_of(ledger_of(edited(FILLED, path, value)))


@pytest.mark.parametrize("at", [clipped(FIRST), clipped(LAST), NOW])
def test_a_notice_with_any_instant(at: datetime) -> None:
    for notice in (
        Notice("Preempt", at, "imds", NOW),
        Notice("Preempt", at, "imds", at),
        Notice("Preempt", None, "imds", at),
        a_notice(),
    ):
        pod = replace(running(a_pod()), notice=notice)
        begun = replace(persisted(a_snapshot()), pods=(pod,))
        expect_a_plan(begun)
        expect_a_plan(replace(begun, pods=(exited(pod, 1),)))
