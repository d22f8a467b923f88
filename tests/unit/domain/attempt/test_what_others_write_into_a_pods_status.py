"""Every row of the table of what kubelets, runtimes and controllers write, as they write it.

The raw status goes through the operator's own trimming and reading, and the plan decides.
"""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from endings.placing import PLACING, SAYS
from endings.row import ADDED, End, Json, Row, running
from endings.written import CHAPTERS, ROWS
from gen_endings import DOCUMENT, main, rendered
from kit.builders import (
    NOW,
    a_default_policy,
    a_job,
    a_node,
    a_pod,
    a_snapshot,
    at_work,
    bound,
    gone,
    later,
    persisted,
    the_condition,
)
from kit.jobs import with_prepare
from spot_operator.api import names
from spot_operator.api.names import Condition, Ending, State
from spot_operator.domain.accounts.budgets import FAILURES, INTERRUPTIONS
from spot_operator.domain.nodes.fencing import OUT_OF_SERVICE_TAINT
from spot_operator.domain.observed.elapsed import placed
from spot_operator.domain.observed.snapshot import PodView, Snapshot, TaintView, Visibility
from spot_operator.domain.state.ledger import AttemptRecord
from spot_operator.reconcile.pod_view import pod_view
from spot_operator.reconcile.trim import trim_pod

NAMES = [f"{number}: {row.written}" for number, row in enumerate(ROWS)]
NOT_BEGUN = [(row, name) for row, name in zip(ROWS, NAMES, strict=True) if not row.begun]
LONG = 3 * 3600


def as_stored(row: Row, snapshot: Snapshot) -> PodView:
    """The pod of the current attempt with the row's status, read as the operator reads it."""
    attempt = snapshot.ledger.attempt
    ours, bound_to = a_pod(attempt), "" if row in PLACING.rows else "node-1"
    metadata: dict[str, Any] = {
        "name": ours.name,
        "namespace": "research",
        "uid": ours.uid,
        "creationTimestamp": NOW.isoformat(),
        "labels": {names.LABEL_ATTEMPT: str(attempt), names.LABEL_RANK: "0"},
        "ownerReferences": [
            {"kind": names.JOB_KIND, "name": "digits", "uid": ours.owner_uid, "controller": True}
        ],
    }
    if row.deleted:
        metadata |= {
            "deletionTimestamp": snapshot.now.isoformat(),
            "deletionGracePeriodSeconds": 120,
        }
    spec = {
        "containers": [{"name": "trainer"}],
        "initContainers": [{"name": name} for name in (names.SIDECAR_CONTAINER, "prepare", ADDED)],
        "terminationGracePeriodSeconds": 120,
        **({"nodeName": bound_to} if bound_to else {}),
    }
    view = pod_view(trim_pod({"metadata": metadata, "spec": spec, "status": row.status}))
    return replace(view, node_identity=bound(ours).node_identity if bound_to else None)


def before(row: Row, *, first: bool) -> Snapshot:
    """The job before the status is written; `first`: no trainer of it has ever started."""
    policy = a_default_policy(failures={"max": 5}, interruptions={"max": 5})
    job = a_job(template=with_prepare())
    if first:
        return persisted(a_snapshot(job=job, policies=(policy,)))
    work = at_work(job, policies=(policy,))
    if row.begun:
        return work
    elsewhere = {name: node for name, node in work.nodes.items() if name != "node-1"}
    return replace(persisted(replace(work, pods=(), nodes=elsewhere)), nodes=work.nodes)


def world(row: Row, snapshot: Snapshot) -> Snapshot:
    nodes = dict(snapshot.nodes)
    if row.world == "node gone":
        del nodes["node-1"]
    if row.world == "node out of service":
        nodes["node-1"] = a_node(taints=(TaintView(OUT_OF_SERVICE_TAINT, "nodeshutdown"),))
    if row.world == "node rebooted":
        nodes["node-1"] = a_node(boot_id="boot-2")
    if row.world == "node silent before":
        leases = {**snapshot.visibility.leases, "node-1": (2.0, 50.0, 60.0)}
        there = {placed(pod): 600.0 for pod in snapshot.pods}
        return replace(snapshot, visibility=Visibility(True, 3600.0, leases), seen=there)
    return replace(snapshot, nodes=nodes)


def ends(row: Row, snapshot: Snapshot) -> AttemptRecord | None:
    """The record of the attempt once its pod has this status; None: it goes on."""
    pod, attempt = as_stored(row, snapshot), snapshot.ledger.attempt
    seen = persisted(world(row, replace(snapshot, pods=(pod,), reports={})))
    if seen.ledger.state is State.CREATED:
        seen = persisted(later(seen, LONG))
    if seen.ledger.state is State.STOPPING:
        over = gone(replace(pod, phase=pod.phase if pod.terminal else "Failed"))
        seen = persisted(later(seen, 5, pods=(over,)))
    record = next(one for one in seen.ledger.attempts if one.number == attempt)
    if record.ending is not None:
        return record
    assert (seen.ledger.attempt, seen.ledger.state) == (attempt, State.CREATED)
    return None


def expect_end(record: AttemptRecord | None, end: End | None) -> None:
    found = None
    if record is not None:
        found = End(record.ending or "", charge_of(record))
    said = record.message if record is not None else ""
    assert found == end, said
    assert end is None or said


def charge_of(record: AttemptRecord) -> Any:
    return str(record.charged).lower() if record.charged is not None else "nothing"


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_what_is_written_under_a_job_that_has_started(row: Row) -> None:
    expect_end(ends(row, before(row, first=False)), row.end)


@pytest.mark.parametrize("row", [row for row, _ in NOT_BEGUN], ids=[name for _, name in NOT_BEGUN])
def test_what_is_written_before_any_trainer_has_started(row: Row) -> None:
    expect_end(ends(row, before(row, first=True)), row.first or row.end)


@pytest.mark.parametrize("row", PLACING.rows, ids=[row.written for row in PLACING.rows])
@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_why_a_pod_has_no_node_is_told_whatever_the_reason(row: Row, *, first: bool) -> None:
    snapshot = before(row, first=first)
    now = persisted(replace(later(snapshot, 400), pods=(as_stored(row, snapshot),), reports={}))
    found = the_condition(now.ledger, Condition.CAPACITY_AVAILABLE)
    assert found.status == "False"
    if row.status["conditions"][0]["reason"] == "SchedulingGated":
        assert found.reason == "NotScheduled"
        assert "has schedulingGates" in found.message
        return
    assert found.reason == "Unschedulable"
    assert SAYS in found.message
    assert row.status["conditions"][0]["reason"] in f"Unschedulable {found.message}"


def ended_first(row: Row) -> bool:
    """Whether the status tells how the trainer ended, and that the pod is over."""
    trainer: Json = next(iter(row.status.get("containerStatuses", ())), {"state": {}})
    return row.begun and row.status["phase"] != "Running" and "terminated" in trainer["state"]


def while_the_sidecar_ends(row: Row) -> Row:
    """What a kubelet shows before the pod is over: not yet why it ends it (`mergePodStatus`)."""
    kept = {key: value for key, value in row.status.items() if key not in {"reason", "message"}}
    conditions = [
        one for one in kept.get("conditions", ()) if one.get("reason") != "TerminationByKubelet"
    ]
    sidecar = running(names.SIDECAR_CONTAINER)
    early = {"phase": "Running", "conditions": conditions, "initContainerStatuses": [sidecar]}
    return replace(row, status={**kept, **early})


TOLD_LATER = [(row, name) for row, name in zip(ROWS, NAMES, strict=True) if ended_first(row)]


@pytest.mark.parametrize(
    "row", [row for row, _ in TOLD_LATER], ids=[name for _, name in TOLD_LATER]
)
def test_that_the_trainers_end_is_seen_before_the_pods_changes_nothing(row: Row) -> None:
    snapshot = before(row, first=False)
    early = as_stored(while_the_sidecar_ends(row), snapshot)
    seen = persisted(world(row, replace(snapshot, pods=(early,), reports={})))
    over = persisted(later(seen, 3, pods=(as_stored(row, snapshot),)))
    record = next(one for one in over.ledger.attempts if one.number == snapshot.ledger.attempt)
    assert record.ending is not None
    expect_end(record, row.end)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_no_row_charges_against_the_rules(row: Row) -> None:
    for end in (row.end, row.first):
        if end is not None:
            ending = Ending(end.ending)
            failure, interruption = ending in FAILURES, ending in INTERRUPTIONS
            charge = "failure" if failure else "interruption" if interruption else "nothing"
            assert end.charge == charge
    # What keeps a pod from starting is no failure once the template is proved.
    assert row.begun or row.end is None or row.end.charge != "failure"


def test_the_rows_differ() -> None:
    keys = [(row.written, row.begun) for row in ROWS]
    assert len(set(keys)) == len(keys)
    assert len(ROWS) > 120
    assert all(chapter.rows for chapter in CHAPTERS)
    assert all(first.title != second.title for first, second in pairwise(CHAPTERS))


def test_the_document_is_current() -> None:
    assert DOCUMENT.read_text() == rendered(), "run `make gen`"
    assert main(["--check"]) == 0


def test_a_stale_document_is_noticed(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = tmp_path / "endings.md"
    stale.write_text("old")
    monkeypatch.setattr("gen_endings.DOCUMENT", stale)
    assert main(["--check"]) == 1
    assert "make gen" in capsys.readouterr().out
    assert main([]) == 0
    assert main(["--check"]) == 0


def test_every_ending_that_evidence_leads_to_has_a_row() -> None:
    shown = {end.ending for row in ROWS for end in (row.end, row.first) if end is not None}
    own_words = {
        *("Completed", "Paused", "Resurrected", "Regranted", "BadNode", "NoValidCheckpoint"),
        *("Suspended", "NotPlaced", "Stalled"),
    }
    assert shown | own_words == {str(one) for one in Ending}
