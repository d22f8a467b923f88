"""Each field says when a change of it takes effect: at once, or with the next of something.

`ROWS` holds what each text promises; the last test holds `ROWS` against the texts.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from kit.builders import (
    a_commit,
    a_default_policy,
    a_job,
    a_policy,
    a_report,
    at_work,
    committed,
    disrupted,
    exited,
    expect_rest,
    expect_write,
    later,
    persisted,
    resumed_from,
)
from kit.jobs import a_template
from kit.manifests.paths import changed
from pydantic import BaseModel
from spot_operator.api.job import JobSpec
from spot_operator.api.names import FINALIZER, State
from spot_operator.api.policy import PolicySpec
from spot_operator.domain.actions import CreatePod, DeleteJob, DeletePod, Hold
from spot_operator.domain.observed.snapshot import JobView, PolicyView, Snapshot
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import Budgets, Ledger
from spot_operator.render.pod import render_pod
from spot_operator.render.settings import RenderSettings

STORE: Final = {"s3": {"bucket": "checkpoints"}}
SPEC: Final[dict[str, Any]] = {"checkpoint": {"store": STORE, "keep": {}}}
USED: Final = Budgets(interruptions=2, failures=2, without_progress=2)
SETTINGS: Final = RenderSettings(sidecar_image="sidecar:1", reports_url="https://r", ca_bundle="ca")

Act = Callable[[Snapshot], Snapshot]


def a_job_with(path: str, value: object) -> JobView:
    spec = changed({"spec": SPEC}, {f"spec.{path}": value})["spec"]
    return a_job(**spec)


def a_policy_with(path: str, value: object) -> PolicyView:
    plain = {"default": True, "backoff": {"jitter": "None"}, "checkpoint": {}, "unreachable": {}}
    plain |= {"interruptions": {}, "failures": {}}
    return a_policy("standard", **changed({"spec": plain}, {f"spec.{path}": value})["spec"])


def crashed(work: Snapshot) -> Snapshot:
    return replace(work, pods=(exited(work.pods[0], 1),))


def displaced(work: Snapshot) -> Snapshot:
    return replace(work, pods=(disrupted(exited(work.pods[0], 143), "PreemptionByScheduler"),))


def silent(work: Snapshot) -> Snapshot:
    """Its node was heard of 50 s ago, its reports are gone."""
    nodes = {**work.nodes, "node-1": replace(work.nodes["node-1"], lease_age=50.0)}
    return replace(work, nodes=nodes, reports={})


def outcome(ledger: Ledger) -> tuple[object, ...]:
    """What an ending came to."""
    return ledger.state, ledger.not_before, ledger.budgets


@dataclass(frozen=True, slots=True)
class Row:
    """A field, a value before and after, and what shows that it is in force."""

    path: str
    before: object
    after: object
    by: Act = crashed
    """The ending by which a policy's field shows."""

    def __str__(self) -> str:
        return self.path


# --- with the next attempt -----------------------------------------------------------------------

NEXT_ATTEMPT: Final = (
    Row("checkpoint.interval", "5m", "10m"),
    Row("checkpoint.maxLostWork", "20m", "30m"),
    Row("checkpoint.keep.newest", 3, 5),
    Row("checkpoint.keep.milestoneEvery", "1h", "2h"),
    Row("checkpoint.onNoneValid", "Fail", "StartFresh"),
)
NEXT_ATTEMPT_OF_POLICY: Final = (Row("checkpoint.maxLostWork", "20m", "30m"),)


def the_next_pod(work: Snapshot) -> str:
    """The pod of the next attempt, as text."""
    started = persisted(later(persisted(displaced(work)), 600, pods=()))
    assert started.job is not None
    (action,) = (one for one in plan(started).actions if isinstance(one, CreatePod))
    return str(render_pod(started.job, action, SETTINGS, drain_token="0"))


@pytest.mark.parametrize("row", NEXT_ATTEMPT, ids=str)
def test_of_a_job_with_the_next_attempt(row: Row) -> None:
    work = at_work(a_job_with(row.path, row.before), policies=(a_default_policy(),))
    edited = replace(work, job=a_job_with(row.path, row.after))
    assert plan(persisted(edited)).actions == ()
    assert persisted(edited).ledger.state is State.CREATED
    assert the_next_pod(edited) != the_next_pod(work)


@pytest.mark.parametrize("row", NEXT_ATTEMPT_OF_POLICY, ids=str)
def test_of_a_policy_with_the_next_attempt(row: Row) -> None:
    work = at_work(policies=(a_policy_with(row.path, row.before),))
    edited = replace(work, policies=(a_policy_with(row.path, row.after),))
    assert persisted(edited).ledger.state is State.CREATED
    assert the_next_pod(edited) != the_next_pod(work)


# --- with the next ending ------------------------------------------------------------------------

NEXT_ENDING: Final = (
    Row("interruptions.max", 50, 2, displaced),
    Row("interruptions.max", 2, 50, displaced),
    Row("interruptions.window", None, "1m", displaced),
    Row("failures.max", 3, 2),
    Row("failures.max", 2, 3),
    Row("maxAttemptsWithoutProgress", 10, 1),
    Row("maxAttemptsWithoutProgress", 1, 10),
    Row("backoff.initial", "10s", "20s"),
    Row("backoff.factor", 2, 3),
    Row("backoff.max", "5m", "10s"),
    Row("backoff.jitter", "None", "Full"),
)


@pytest.mark.parametrize("row", NEXT_ENDING, ids=str)
def test_of_a_policy_with_the_next_ending(row: Row) -> None:
    before, after = a_policy_with(row.path, row.before), a_policy_with(row.path, row.after)
    used = USED if row.path != "interruptions.window" else replace(USED, interruptions=50)
    work = at_work(policies=(before,))
    work = replace(work, ledger=replace(work.ledger, budgets=used))
    edited = replace(work, policies=(after,))
    # A running attempt goes on.
    expect_rest(edited)
    # What has ended stays as it was decided.
    ended = persisted(row.by(work))
    if ended.ledger.state is State.WAITING:
        assert outcome(persisted(replace(ended, policies=(after,))).ledger) == outcome(ended.ledger)
    # The next ending is another one.
    assert outcome(persisted(row.by(edited)).ledger) != outcome(ended.ledger)


# --- with the next commit ------------------------------------------------------------------------


def test_of_a_policy_with_the_next_commit() -> None:
    before, after = (a_policy_with("failures.refundAfterProgress", one) for one in (True, False))
    for policy, left in ((before, 0), (after, 2)):
        work = at_work(policies=(policy,))
        work = replace(work, ledger=replace(work.ledger, budgets=USED))
        other = after if policy is before else before
        expect_rest(replace(work, policies=(other,)))
        report = committed(a_report(step=120), a_commit(1, 120))
        saved = persisted(replace(work, reports={work.pods[0].uid: report}))
        assert saved.ledger.budgets.failures == left
        later_on = persisted(replace(saved, policies=(other,)))
        assert later_on.ledger.budgets.failures == left


# --- with the next decision ----------------------------------------------------------------------

NEXT_DECISION: Final = ("priorityClassNames", "default", "allowedNamespaces")


@pytest.mark.parametrize("path", NEXT_DECISION)
def test_of_a_policy_with_the_next_decision(path: str) -> None:
    template = a_template(priorityClassName="high")
    named = "gold" if path == "allowedNamespaces" else None
    job = a_job(template=template, policyName=named)
    claimed_by: dict[str, dict[str, Any]] = {
        "priorityClassNames": {"priorityClassNames": ["high"]},
        "default": {"default": True},
        "allowedNamespaces": {"allowedNamespaces": ["research"]},
    }
    work = at_work(job, policies=(a_policy("gold"),))
    claimed = replace(work, policies=(a_policy("gold", **claimed_by[path]),))
    assert persisted(claimed).ledger.policy == "gold"
    assert persisted(claimed).ledger.attempt == 1


def test_of_a_job_its_policy_name_with_the_next_decision() -> None:
    gold = a_policy("gold", allowedNamespaces=["*"])
    work = at_work(policies=(a_default_policy(), gold))
    edited = persisted(replace(work, job=a_job(policyName="gold", generation=2)))
    assert (work.ledger.policy, edited.ledger.policy) == ("standard", "gold")
    assert edited.ledger.budgets == work.ledger.budgets


# --- at once -------------------------------------------------------------------------------------


def stalled(work: Snapshot) -> Snapshot:
    report = resumed_from(a_commit(), 120, step_age=400.0)
    return replace(work, reports={work.pods[0].uid: report})


def refused(work: Snapshot) -> Snapshot:
    """Over, its pod kept."""
    return later(persisted(replace(work, pods=(exited(work.pods[0], 93),))), 100)


def as_it_is(work: Snapshot) -> Snapshot:
    return work


def stops(snapshot: Snapshot) -> bool:
    return persisted(snapshot).ledger.state is State.STOPPING


def does(kind: type) -> Callable[[Snapshot], bool]:
    return lambda snapshot: any(isinstance(one, kind) for one in plan(snapshot).actions)


AT_ONCE: Final = (
    (Row("suspend", False, True, as_it_is), stops),
    (Row("stallTimeout", "10m", "5m", stalled), stops),
    (Row("ttlSecondsAfterFinished", 3_600, 60, refused), does(DeleteJob)),
    (Row("podCleanup", "KeepFailed", "DeleteAll", refused), does(DeletePod)),
    (Row("checkpoint.deletionPolicy", "Retain", "Delete", as_it_is), does(Hold)),
)


@pytest.mark.parametrize(("row", "shows"), AT_ONCE, ids=[row.path for row, _ in AT_ONCE])
def test_of_a_job_at_once(row: Row, shows: Callable[[Snapshot], bool]) -> None:
    before = row.by(at_work(a_job_with(row.path, row.before)))
    assert not shows(before)
    assert shows(replace(before, job=a_job_with(row.path, row.after)))


def test_of_a_job_its_deletion_policy_while_it_is_being_deleted() -> None:
    going = replace(a_job_with("checkpoint.deletionPolicy", "Delete"), finalizers=(FINALIZER,))
    going = replace(going, deleting=True)
    work = replace(at_work(), job=going)
    assert not does(Hold)(persisted(work))
    kept = replace(going, spec=a_job_with("checkpoint.deletionPolicy", "Retain").spec)
    assert plan(persisted(replace(work, job=kept))).actions == (Hold(wanted=False),)


def test_of_a_policy_at_once() -> None:
    before, after = (a_policy_with("unreachable.after", one) for one in ("1m", "40s"))
    work = silent(at_work(policies=(before,)))
    assert persisted(work).ledger.state is State.CREATED
    assert expect_write(replace(work, policies=(after,))).ranks[0].ended is not None


# --- the texts -----------------------------------------------------------------------------------

PROMISES: Final = {
    JobSpec: {
        "next attempt": {row.path for row in NEXT_ATTEMPT},
        "at once": {row.path for row, _ in AT_ONCE},
        "next decision": {"policyName"},
    },
    PolicySpec: {
        "next attempt": {row.path for row in NEXT_ATTEMPT_OF_POLICY},
        "next ending": {row.path for row in NEXT_ENDING},
        "next commit": {"failures.refundAfterProgress"},
        "next decision": set(NEXT_DECISION),
        "at once": {"unreachable.after"},
    },
}
EFFECT: Final = re.compile(r"A change\s+takes effect (?:with the )?(next \w+|at once)")


def described(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, str]]:
    """Each field by its path in JSON, and its text."""
    for field in model.model_fields.values():
        path = f"{before}{field.alias}"
        yield path, field.description or ""
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from described(inner, f"{path}.")


@pytest.mark.parametrize("model", PROMISES)
def test_every_promise_has_its_row(model: type[BaseModel]) -> None:
    promised: dict[str, set[str]] = {}
    for path, text in described(model):
        found = EFFECT.search(text)
        assert ("takes effect" in text) == (found is not None), f"{path}: {text}"
        if found is not None:
            promised.setdefault(found[1], set()).add(path)
    assert promised == PROMISES[model]
