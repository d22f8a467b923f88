"""Snapshots for tests of decisions, piece by piece, and what may be expected of the plan.

The pieces are frozen; verbs such as `running(pod)` return what the piece has become. Ages of leases
and reports are fresh unless said.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from kit.jobs import a_job as a_job_view
from spot_operator.api.names import Condition
from spot_operator.api.policy import PolicySpec
from spot_operator.domain.actions import Action, Plan
from spot_operator.domain.observed.context import Context, context_of
from spot_operator.domain.observed.snapshot import (
    CommitReport,
    ConditionView,
    ContainerView,
    JobKey,
    JobView,
    NodeView,
    PodView,
    PolicyView,
    ReportView,
    ResumeReport,
    Snapshot,
    Visibility,
)
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import (
    AttemptRecord,
    CommitRef,
    ConditionRecord,
    Ledger,
    NodeIdentity,
    Notice,
    RankRecord,
    Word,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""When a test begins."""


def after(seconds: float) -> datetime:
    """The instant so many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def a_job(**changes: Any) -> JobView:
    """A job created at NOW; fields of JobView by name, anything else goes into the spec."""
    own = {name: changes.pop(name) for name in list(changes) if name in JobView.__slots__}
    return replace(a_job_view(**changes), **{"created_at": NOW, **own})


def a_policy(name: str = "gold", **spec: Any) -> PolicyView:
    """A policy; `spec` in the API's own names."""
    return PolicyView(name=name, spec=PolicySpec.model_validate(spec))


def a_default_policy(**spec: Any) -> PolicyView:
    """The default policy, without jitter so that waits can be foretold."""
    backoff = {"jitter": "None", **spec.pop("backoff", {})}
    return a_policy("standard", default=True, backoff=backoff, **spec)


def a_node(name: str = "node-1", **changes: Any) -> NodeView:
    """A healthy node in its first boot, its lease just renewed."""
    node = NodeView(name=name, uid=f"uid-of-{name}", boot_id=f"boot-1-of-{name}", lease_age=1.0)
    return replace(node, **changes)


def a_pod(attempt: int = 1, rank: int = 0, job: str = "digits", **changes: Any) -> PodView:
    """A pod of ours as the API server just created it."""
    name = f"{job}-{attempt}-{rank}"
    pod = PodView(
        name=name,
        uid=f"uid-of-{name}",
        attempt=attempt,
        rank=rank,
        owner_uid=f"uid-of-{job}",
        grace_seconds=120,
        created_at=NOW,
    )
    return replace(pod, **changes)


def bound(pod: PodView, node: NodeView | None = None) -> PodView:
    """The pod on its node, our annotation on it."""
    at = node or a_node()
    scheduled = ConditionView("PodScheduled", "True", since=NOW)
    return replace(
        pod, node_name=at.name, node_identity=at.identity, conditions=(*pod.conditions, scheduled)
    )


def running(pod: PodView, node: NodeView | None = None) -> PodView:
    """The pod on its node with both containers up."""
    placed = pod if pod.node_name else bound(pod, node)
    up = ContainerView(state="running", started_at=NOW)
    return replace(
        placed,
        phase="Running",
        trainer=replace(up, name="trainer"),
        sidecar=replace(up, name="spot-sidecar"),
    )


def waiting(pod: PodView, reason: str, message: str = "", container: str = "trainer") -> PodView:
    """The pod with one container that does not come up."""
    stuck = ContainerView(name=container, state="waiting", reason=reason, message=message)
    if container == "trainer":
        return replace(pod, trainer=stuck)
    return replace(pod, sidecar=stuck)


def exited(
    pod: PodView, code: int, reason: str = "", message: str = "", at: datetime = NOW
) -> PodView:
    """The pod after its trainer exited and the kubelet said that it is over."""
    up = pod if pod.trainer.started else running(pod)
    trainer = replace(
        up.trainer,
        state="terminated",
        reason=reason or ("Error" if code else "Completed"),
        message=message,
        exit_code=code,
        finished_at=at,
    )
    return replace(up, phase="Failed" if code else "Succeeded", trainer=trainer)


def beside(pod: PodView, *others: ContainerView) -> PodView:
    """The pod while others run in it, whatever has become of its trainer."""
    return replace(pod, phase="Running", others=(*pod.others, *others))


def a_companion(name: str = "proxy", **changes: Any) -> ContainerView:
    """A container beside the trainer that never ends by itself."""
    return replace(ContainerView(name, "running", started_at=NOW), **changes)


def saying(pod: PodView, **word: Any) -> PodView:
    """The pod with this in the termination message of its sidecar."""
    message = json.dumps({"version": 1, **word})
    return replace(pod, sidecar=replace(pod.sidecar, state="terminated", message=message))


def disrupted(pod: PodView, reason: str) -> PodView:
    """The pod with a DisruptionTarget condition."""
    condition = ConditionView("DisruptionTarget", "True", reason=reason)
    return replace(pod, conditions=(*pod.conditions, condition))


def terminating(pod: PodView, at: datetime = NOW) -> PodView:
    """The pod while it is being deleted."""
    return replace(pod, deletion_at=at)


def gone(pod: PodView) -> PodView:
    """The tombstone of the pod."""
    return replace(pod, gone=True)


def a_notice(
    kind: Literal["Preempt", "Rebalance", "Maintenance", "PodDeletion"] = "Preempt",
    observed: float = 0,
    deadline: float | None = 120,
    source: str = "imds",
) -> Notice:
    """A notice, times in seconds after NOW."""
    until = after(deadline) if deadline is not None else None
    return Notice(kind, until, source, after(observed))


def a_commit(attempt: int = 1, step: int = 100) -> CommitRef:
    """A checkpoint."""
    return CommitRef(attempt, step, f"a{attempt:08d}-s{step:012d}-0123abcd")


def a_report(**changes: Any) -> ReportView:
    """A report of a trainer that is at step 10 of a fresh start."""
    report = ReportView(
        age=1.0,
        step_age=0.5,
        state="Training",
        registered=True,
        step=10,
        samples=320,
        resume=ResumeReport("fresh"),
        seconds={"startUp": 2.0, "productive": 5.0},
    )
    return replace(report, **changes)


def resumed_from(ref: CommitRef, step: int | None = None, **changes: Any) -> ReportView:
    """A report of a trainer that resumed from `ref` and has come to `step`."""
    resume = ResumeReport("checkpoint", ref)
    return a_report(resume=resume, step=ref.step if step is None else step, **changes)


def committed(report: ReportView, ref: CommitRef, commits: int = 1) -> ReportView:
    """The report with its newest commit."""
    return replace(report, commit=CommitReport(ref, NOW, 1024, 0.5), commits=commits)


def a_word(word: str, reason: str = "") -> Word:
    """What the trainer said."""
    return Word(word, reason)


def seeing(*nodes: NodeView, fresh: bool = True, leading_for: float = 3600.0) -> Visibility:
    """The view of a leader that sees each lease renewed every ten seconds, except silent ones."""
    leases = {
        node.name: tuple(node.lease_age + 10.0 * k for k in range(60))
        for node in nodes
        if node.lease_age is not None
    }
    return Visibility(fresh=fresh, leading_for=leading_for, leases=leases)


def a_snapshot(
    *pods: PodView,
    nodes: tuple[NodeView, ...] | None = None,
    visibility: Visibility | None = None,
    job: JobView | None = None,
    **changes: Any,
) -> Snapshot:
    """A snapshot at NOW with these pods; three healthy nodes and no policy unless said."""
    there = nodes if nodes is not None else tuple(a_node(f"node-{k}") for k in (1, 2, 3))
    base = Snapshot(
        key=JobKey("research", "digits"),
        now=NOW,
        job=job or a_job(),
        ledger=Ledger(),
        visibility=visibility or seeing(*there),
        pods=pods,
        nodes={node.name: node for node in there},
    )
    return replace(base, **changes)


def a_scene(snapshot: Snapshot) -> Context:
    """The snapshot, classified."""
    assert snapshot.job is not None
    return context_of(snapshot, snapshot.job)


def later(snapshot: Snapshot, seconds: float, **changes: Any) -> Snapshot:
    """The snapshot so many seconds later, with changes."""
    return replace(snapshot, now=snapshot.now + timedelta(seconds=seconds), **changes)


def persisted(snapshot: Snapshot) -> Snapshot:
    """The snapshot after every write that it asks for; at most ten, or it never rests."""
    for _ in range(10):
        made = plan(snapshot)
        if made.ledger is None:
            return snapshot
        snapshot = replace(snapshot, ledger=made.ledger)
    raise AssertionError(f"the ledger is never at rest: {snapshot.ledger}")


def at_work(
    job: JobView | None = None, report: ReportView | None = None, **changes: Any
) -> Snapshot:
    """A job whose first attempt has come to step 10 of a fresh start, all of it persisted."""
    fresh = persisted(a_snapshot(job=job, **changes))
    pod = running(a_pod())
    return persisted(replace(fresh, pods=(pod,), reports={pod.uid: report or a_report()}))


def expect_write(snapshot: Snapshot) -> Ledger:
    """The ledger that the pass persists."""
    made = plan(snapshot)
    assert made.ledger is not None, f"no write, but {made.actions}"
    return made.ledger


def expect_actions(snapshot: Snapshot) -> tuple[Action, ...]:
    """The actions of the pass, which writes nothing."""
    made = plan(snapshot)
    assert made.ledger is None, "a write"
    assert made.actions, "neither a write nor an action"
    return made.actions


def expect_rest(snapshot: Snapshot) -> Plan:
    """A pass that changes nothing."""
    made = plan(snapshot)
    assert (made.ledger, made.actions, made.events) == (None, (), ())
    return made


def expect_ending(ledger: Ledger, ending: str) -> AttemptRecord:
    """The newest record with an ending, which must be that one."""
    record = next(one for one in reversed(ledger.attempts) if one.ending is not None)
    assert record.ending == ending, f"{record.ending}: {record.message}"
    return record


def the_rank(ledger: Ledger) -> RankRecord:
    """The record of the only rank."""
    (record,) = ledger.ranks
    return record


def an_identity(name: str = "node-1") -> NodeIdentity:
    """What `a_node(name)` is known by."""
    return a_node(name).identity


def the_condition(ledger: Ledger, kind: Condition) -> ConditionRecord:
    """The condition of that type, which there must be."""
    record = ledger.condition(kind)
    assert record is not None, f"no condition {kind}"
    return record


def the_current(ledger: Ledger) -> AttemptRecord:
    """The record of the newest attempt."""
    assert ledger.current is not None
    return ledger.current
