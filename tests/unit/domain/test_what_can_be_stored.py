"""Fields that an API server with older CRDs drops: never written for ever, never acted upon."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from gen_crds import manifests
from kit.builders import a_commit as commit
from kit.builders import (
    a_default_policy,
    a_job,
    a_notice,
    a_pod,
    a_report,
    a_snapshot,
    a_word,
    after,
    at_work,
    bound,
    committed,
    exited,
    gone,
    later,
    persisted,
    running,
    terminating,
    the_condition,
    waiting,
)
from kit.filled import filled
from spot_operator.api.crd import field_schema
from spot_operator.api.names import Condition
from spot_operator.domain.actions import CreatePod, CreatePurge
from spot_operator.domain.crd_support import FIGURES, not_kept, storable, unkept
from spot_operator.domain.observed.snapshot import Snapshot
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import Ledger, RankEnd, RankRecord, Standstill
from spot_operator.domain.state.status import status_of

Json = dict[str, Any]

JOB_CRD = next(iter(manifests().values()))
SCHEMA = field_schema(JOB_CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "status")
POD = running(a_pod())


def known(schema: Json, path: str = "") -> Iterator[str]:
    for name, child in schema.get("properties", {}).items():
        inner = f"{path}.{name}" if path else name
        yield inner
        yield from known(child.get("items", child), f"{inner}[]" if "items" in child else inner)


def droppable() -> list[str]:
    """What an older CRD may lack: any field at all."""
    return list(known(SCHEMA))


PATHS = droppable()


def scenes() -> dict[str, Snapshot]:
    """The kinds of moments in a job's life at which something is written."""
    policy = (a_default_policy(),)
    work = replace(at_work(), policies=policy)
    held = a_job(checkpoint={"store": {"s3": {"bucket": "b"}}, "deletionPolicy": "Delete"})
    held = replace(held, finalizers=("spottraining.dev/checkpoints",))
    noticed = a_report(notice=a_notice(), step=40)
    return {
        "new": a_snapshot(policies=policy),
        "pulling": replace(
            a_snapshot(policies=policy), pods=(waiting(bound(a_pod()), "ImagePullBackOff"),)
        ),
        "training": work,
        "committed": replace(work, reports={POD.uid: committed(a_report(step=200), commit())}),
        "noticed": replace(work, reports={POD.uid: noticed}),
        "failed": replace(work, pods=(exited(POD, 1),)),
        "vanished": replace(work, pods=(gone(POD),)),
        "dying": replace(work, pods=(terminating(POD),)),
        "suspended": replace(work, job=a_job(suspend=True)),
        "finished": replace(
            work, pods=(exited(POD, 0),), reports={POD.uid: a_report(word=a_word("Finished"))}
        ),
        "deleted": replace(at_work(held), job=replace(held, deleting=True), pods=(gone(POD),)),
    }


SCENES = scenes()


def lived(snapshot: Snapshot, path: str) -> tuple[list[Snapshot], int]:
    """Eight passes over a job whose API server drops `path`; and how many of them wrote."""
    writes, seen = 0, []
    snapshot = replace(
        snapshot,
        ledger=storable(snapshot.ledger, {path}) or snapshot.ledger,
        unkept=frozenset({path}),
    )
    for _ in range(8):
        seen.append(snapshot)
        made = plan(snapshot)
        if made.ledger is not None:
            writes += 1
            kept = storable(made.ledger, {path})
            assert kept is not None, f"{path}: nobody can read what was written"
            snapshot = replace(snapshot, ledger=kept)
    return seen, writes


@pytest.mark.parametrize("moment", SCENES)
def test_a_job_comes_to_rest_whatever_field_is_dropped(moment: str) -> None:
    assert len(PATHS) > 100
    for path in PATHS:
        seen, writes = lived(SCENES[moment], path)
        assert writes <= 5, f"{path}: written again and again"
        made = plan(seen[-1])
        assert made.ledger is None, path


@pytest.mark.parametrize("moment", ["new", "failed", "deleted"])
def test_no_pod_is_created_on_what_was_not_persisted(moment: str) -> None:
    for path in PATHS:
        seen, _ = lived(SCENES[moment], path)
        for snapshot in seen:
            actions = plan(snapshot).actions
            if any(isinstance(one, CreatePod | CreatePurge) for one in actions):
                assert not unkept(snapshot.ledger, snapshot.unkept), path


def test_intent_that_is_lost_holds_attempts_and_is_told() -> None:
    snapshot = a_snapshot(policies=(a_default_policy(),), unkept=frozenset({"attempts"}))
    held = persisted(snapshot)
    assert plan(held).actions == ()
    summary = the_condition(held.ledger, Condition.SUCCEEDED)
    assert (summary.status, summary.reason) == ("Unknown", "CRDsOutdated")
    assert "attempts" in summary.message
    assert "kubectl apply --server-side --force-conflicts -f crds/" in summary.message
    upgraded = persisted(replace(held, unkept=frozenset()))
    assert [type(one) for one in plan(upgraded).actions] == [CreatePod]


def test_an_attempt_that_runs_goes_on_and_says_so() -> None:
    ill = replace(at_work(), unkept=frozenset({"ranks[].started"}))
    told = persisted(ill)
    assert the_condition(told.ledger, Condition.SUCCEEDED).reason == "CRDsOutdated"
    assert plan(later(told, 1)).actions == ()
    suspended = persisted(replace(told, job=a_job(suspend=True)))
    assert [one.__class__.__name__ for one in plan(suspended).actions] == ["DeletePod"]


@pytest.mark.parametrize("path", FIGURES)
def test_figures_that_are_lost_hold_nobody(path: str) -> None:
    snapshot = a_snapshot(policies=(a_default_policy(),), unkept=frozenset({path}))
    created = persisted(snapshot)
    assert [type(one) for one in plan(created).actions] == [CreatePod]


@pytest.mark.parametrize(
    ("stored", "lost"),
    [
        ({"a": 1, "b": [{"c": 2.0}]}, set()),
        ({"a": 1.0, "b": [{"c": 2, "new": "default"}], "newer": {}}, set()),
        ({"b": [{"c": 2}]}, {"a"}),
        ({"a": 1, "b": [{}]}, {"b[].c"}),
        ({"a": 1, "b": [{"c": 3}]}, {"b[].c"}),
        ({"a": 1, "b": []}, {"b"}),
        ({}, {"a", "b"}),
    ],
)
def test_what_came_back_is_compared(stored: Json, lost: set[str]) -> None:
    """More than was written is no loss: a newer CRD may have defaults of its own."""
    assert not_kept({"a": 1, "b": [{"c": 2}]}, stored) == lost


def test_all_of_it_is_kept_where_the_schema_knows_it() -> None:
    ledger = filled(Ledger)
    assert storable(ledger, frozenset()) is ledger
    assert not not_kept(status_of(ledger), status_of(ledger))
    assert unkept(ledger, {"ranks[].trouble", "time.since"}) == {"ranks[].trouble"}
    assert unkept(replace(ledger, ranks=()), {"ranks[].trouble"}) == frozenset()


@pytest.mark.parametrize("path", ["ranks[].ended.sickDevice", "ranks[].still.busy"])
def test_a_field_that_says_nothing_holds_nobody_up(path: str) -> None:
    """An ending is recorded though an older CRD drops what most endings leave empty."""
    end, still = RankEnd(after(60), exit_code=1), Standstill(after(30), 7)
    silent = Ledger(attempt=1, ranks=(RankRecord(0, "u", 30, still=still, ended=end),))
    assert unkept(silent, {path}) == frozenset()
    assert storable(silent, {path}) == silent
    told = replace(
        silent.ranks[0],
        still=replace(still, busy="evaluation"),
        ended=replace(end, sick_device="nvidia.com/gpu GPU-1"),
    )
    assert unkept(replace(silent, ranks=(told,)), {path}) == {path}
