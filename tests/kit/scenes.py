"""Scenes that make the operator say each word of its vocabulary, and what it said in them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from kit.builders import (
    a_commit,
    a_default_policy,
    a_job,
    a_node,
    a_notice,
    a_pod,
    a_policy,
    a_report,
    a_snapshot,
    a_word,
    after,
    at_work,
    bound,
    committed,
    disrupted,
    exited,
    gone,
    later,
    persisted,
    resumed_from,
    running,
    saying,
    seeing,
    terminating,
    waiting,
)
from kit.jobs import a_spec
from spot_operator.api.names import FINALIZER
from spot_operator.domain.observed.snapshot import (
    JobView,
    NodeView,
    PodView,
    Problem,
    Refusal,
    ReportView,
    Snapshot,
)
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import (
    AttemptRecord,
    Charge,
    Interval,
    IntervalBounds,
    IntervalInputs,
    Purge,
)

Row = tuple[str, str, str]
"""A condition, its status and its reason."""


@dataclass
class Said:
    """What the operator said while it went as far as it could without anything happening."""

    conditions: set[Row] = field(default_factory=set)
    endings: set[str] = field(default_factory=set)
    events: set[tuple[str, str]] = field(default_factory=set)
    """Type and reason."""


def said_in(scene: Snapshot) -> Said:
    """Every word of the scene, until it is at rest."""
    said, now = Said(), scene
    for _ in range(10):
        made = plan(now)
        said.events |= {(one.type, one.reason) for one in made.events}
        if made.ledger is None:
            return said
        now = replace(now, ledger=made.ledger)
        said.conditions |= {(one.type, one.status, one.reason) for one in made.ledger.conditions}
        said.endings |= {one.ending for one in made.ledger.attempts if one.ending is not None}
    raise AssertionError("it is never at rest")


def said_in_all(scenes: Iterable[Snapshot]) -> Said:
    """The words of all of them."""
    every = [said_in(one) for one in scenes]
    return Said(
        set().union(*(one.conditions for one in every)),
        set().union(*(one.endings for one in every)),
        set().union(*(one.events for one in every)),
    )


HOURS: Final = 5 * 3600.0
POD: Final = running(a_pod())
PREEMPT: Final = a_notice(deadline=120)
SAVED: Final = committed(a_report(step=120), a_commit())
NEW: Final = a_report(step=0, resume=None, state="Waiting", registered=False)
COSTS: Final = IntervalInputs(stall_seconds=0.5, commit_latency_seconds=20.0, state_bytes=10**9)


def _ended(
    pod: PodView | None = None, report: ReportView | None = None, **changes: Any
) -> Snapshot:
    """A job at work whose pod is now this one."""
    work = at_work(policies=(a_default_policy(),))
    reports = {POD.uid: report} if report is not None else work.reports
    pods = (pod,) if pod is not None else work.pods
    return replace(later(work, 60), pods=pods, reports=reports, **changes)


def _poor(pod: PodView, **spec: Any) -> Snapshot:
    """A job whose budgets are spent."""
    policy = a_default_policy(failures={"max": 0}, interruptions={"max": 0}, **spec)
    return replace(later(at_work(policies=(policy,)), 60), pods=(pod,))


def _reporting(report: ReportView, *, seconds: float = 60, job: JobView | None = None) -> Snapshot:
    return replace(later(at_work(job), seconds), reports={POD.uid: report})


def _nodes(*first: NodeView) -> dict[str, NodeView]:
    return {one.name: one for one in (*first, a_node("node-2"), a_node("node-3"))}


def _bounded(
    lost: str, *, seconds: float = 0, age: float = 1.0, commit_age: float = 0.0
) -> Snapshot:
    checkpoint = {**a_spec()["checkpoint"], "maxLostWork": lost}
    interval = Interval(60.0, "Optimum", COSTS, IntervalBounds(shortest=20.0))
    report = replace(SAVED, interval=interval, age=age, commit_age=commit_age)
    work = at_work(a_job(checkpoint=checkpoint))
    return replace(later(work, seconds), reports={POD.uid: report})


def _suspending() -> Snapshot:
    return replace(at_work(), job=a_job(suspend=True))


def _suspended() -> Snapshot:
    stopping = persisted(_suspending())
    return replace(later(stopping, 5), pods=(exited(POD, 143),))


def _overstaying() -> Snapshot:
    stopping = persisted(_suspending())
    return replace(later(stopping, 300), pods=(terminating(POD, after(120)),))


def _stalled() -> Snapshot:
    work = at_work(a_job(stallTimeout="30s"))
    stopping = persisted(replace(later(work, 60), reports={POD.uid: a_report(step_age=60.0)}))
    return replace(later(stopping, 5), pods=(exited(POD, 143),))


def _taken() -> Snapshot:
    creating = persisted(a_snapshot())
    return replace(creating, foreign=frozenset({"digits-1-0"}))


def _refused() -> Snapshot:
    return replace(
        persisted(a_snapshot()), refusal=Refusal("digits-1-0", 403, "exceeded quota: gpus")
    )


def _unprocessable() -> Snapshot:
    refusal = Refusal("digits-1-0", 422, "spec.containers: Required value")
    return later(persisted(replace(persisted(a_snapshot()), refusal=refusal)), 60)


def _resuming(pod: PodView) -> Snapshot:
    """The second attempt of a job whose first one started, its pod in this state."""
    again = replace(at_work(), nodes=_nodes(a_node(boot_id="boot-2")), pods=(), reports={})
    return replace(persisted(again), pods=(pod,))


def _stuck(reason: str, message: str = "", container: str = "trainer") -> PodView:
    return waiting(bound(a_pod(2), a_node("node-2")), reason, message, container)


def _given_up() -> Snapshot:
    pod = _stuck("ImagePullBackOff", "toomanyrequests: pull rate limit")
    stopping = persisted(later(persisted(_resuming(pod)), 3600))
    return replace(later(stopping, 5), pods=(replace(pod, phase="Failed"),))


def _suspect(known: tuple[str, ...]) -> Snapshot:
    """An attempt is about to fail from a checkpoint from which another failed before."""
    source = a_commit(0, 100)
    work = at_work(
        report=resumed_from(source, 110), policies=(a_default_policy(failures={"max": 9}),)
    )
    earlier = AttemptRecord(
        number=0,
        created_at=after(-60),
        ended_at=after(-1),
        ending="TrainerFailed",
        charged=Charge.FAILURE,
        resumed="checkpoint",
        resumed_from=source,
    )
    known_of = replace(work.ledger.checkpoint, suspects=known)
    ledger = replace(work.ledger, attempts=(earlier, *work.ledger.attempts), checkpoint=known_of)
    return replace(later(work, 60), ledger=ledger, pods=(exited(POD, 1),))


def _without_progress() -> Snapshot:
    policies = (a_default_policy(maxAttemptsWithoutProgress=1),)
    work = at_work(policies=policies)
    budgets = replace(work.ledger.budgets, without_progress=9, progress_limit=1)
    stopping = persisted(replace(work, ledger=replace(work.ledger, budgets=budgets)))
    return replace(later(stopping, 5), pods=(exited(POD, 143),))


def _purging(purge: Purge | None, *pods: PodView, **changes: Any) -> Snapshot:
    checkpoint = {**a_spec()["checkpoint"], "deletionPolicy": "Delete"}
    job = a_job(checkpoint=checkpoint, finalizers=(FINALIZER,), deleting=True)
    work = at_work(replace(job, deleting=False))
    over = persisted(replace(work, job=job, pods=(exited(POD, 0),)))
    return replace(over, pods=(), purges=pods, ledger=replace(over.ledger, purge=purge), **changes)


def _purge_pod(code: int) -> PodView:
    pod = replace(a_pod(-1, -1), name="digits-purge-1", uid="uid-of-purge-1", purge=1)
    return exited(pod, code, message='{"version": 1, "deleted": 7}')


SILENT: Final = replace(SAVED, age=HOURS)

SCENES: Final[Mapping[str, Snapshot]] = {
    # Its life.
    "a new job": a_snapshot(policies=(a_default_policy(),)),
    "its pods exist": replace(persisted(a_snapshot()), pods=(a_pod(),)),
    "a pod has its node": replace(persisted(a_snapshot()), pods=(bound(a_pod()),)),
    "the trainer runs": replace(persisted(a_snapshot()), pods=(POD,)),
    "no node takes it": replace(
        persisted(a_snapshot()), pods=(replace(a_pod(), unschedulable="0/3 nodes: no GPU"),)
    ),
    "no scheduler looks at it": replace(
        later(persisted(a_snapshot()), HOURS),
        pods=(a_pod(),),
        visibility=seeing(*_nodes().values()),
    ),
    "it restores": _reporting(a_report(state="Restoring")),
    "it trains": _reporting(a_report(step=11)),
    "it drains": _reporting(a_report(state="Draining")),
    "it committed": _reporting(SAVED),
    "it resumed": replace(
        replace(persisted(a_snapshot()), pods=(POD,)), reports={POD.uid: resumed_from(a_commit())}
    ),
    "it is warned": _reporting(a_report(notice=PREEMPT)),
    "it is being suspended": _suspending(),
    "it is suspended": _suspended(),
    # What stands in its way.
    "no such policy": a_snapshot(job=a_job(policyName="golden")),
    "a policy without right": a_snapshot(
        job=a_job(policyName="gold"), policies=(a_policy("gold"),)
    ),
    "a policy that is gone": replace(
        later(at_work(policies=(a_default_policy(),)), 60), policies=(), pods=(exited(POD, 1),)
    ),
    "a policy that cannot be read": a_snapshot(
        policies=(replace(a_default_policy(), unreadable="spec.backoff.shape: unknown"),)
    ),
    "two default policies": a_snapshot(
        policies=(a_policy("one", default=True), a_policy("two", default=True))
    ),
    "a write that is refused": replace(
        at_work(), refusals=(Refusal("", 403, "no", "annotate pod digits-1-0"),)
    ),
    "a namespace that goes": a_snapshot(namespace_terminating=True),
    "a server with older CRDs": a_snapshot(unkept=frozenset({"attempts"})),
    "a spec that cannot run": a_snapshot(job=a_job(refusal="correct it")),
    "pods are refused": _refused(),
    "a registry limits us": _resuming(_stuck("ImagePullBackOff", "toomanyrequests: rate limit")),
    "its Secret is gone": _resuming(_stuck("CreateContainerConfigError", 'secret "k" not found')),
    "its node does not start it": _resuming(_stuck("CreateContainerError", "no such device")),
    "the sidecar has no image": _resuming(
        _stuck("ErrImagePull", "sidecar:2: not found", container="spot-sidecar")
    ),
    # What it says of its checkpoints.
    "unreachable": _reporting(a_report(problem=Problem("StoreUnreachable", "timeout"))),
    "denied": _reporting(a_report(problem=Problem("StoreDenied", "403"))),
    "too small": _reporting(a_report(problem=Problem("StagingTooSmall", "2 GB"))),
    "corrupt": _reporting(a_report(quarantined=(("a1-s100", "digest differs"),))),
    "none valid": _reporting(a_report(problem=Problem("NoValidCheckpoint", "3 are corrupt"))),
    "unfinished": _reporting(a_report(problem=Problem("UnfinishedLineage", "uid 7"))),
    "overdue": _reporting(replace(SAVED, commit_age=HOURS), seconds=HOURS),
    "within the bound": _bounded("5m"),
    "beyond the bound": _bounded("40s"),
    "bound unknown": _bounded("5m", seconds=HOURS, age=HOURS),
    "bound given up": _bounded("5m", seconds=HOURS, commit_age=HOURS),
    "bound not measured": a_snapshot(
        job=a_job(checkpoint={**a_spec()["checkpoint"], "maxLostWork": "5m"})
    ),
    # What does not come.
    "silent": _reporting(SILENT, seconds=HOURS),
    "its next attempt": replace(
        persisted(_reporting(SILENT, seconds=HOURS)), nodes=_nodes(a_node(boot_id="boot-2"))
    ),
    "no step": _reporting(replace(SAVED, step_age=HOURS), seconds=HOURS),
    "no SDK": replace(
        later(persisted(replace(a_snapshot(), pods=())), HOURS),
        ledger=at_work(report=NEW).ledger,
        pods=(POD,),
        reports={POD.uid: replace(NEW, step_age=HOURS)},
    ),
    "no end": _overstaying(),
    # Endings.
    "completed": _ended(exited(POD, 0), a_report(word=a_word("Finished"))),
    "paused": _ended(exited(POD, 0), a_report(word=a_word("Paused"), notice=PREEMPT)),
    "its node was removed": _ended(nodes=_nodes()),
    "its node rebooted": _ended(nodes=_nodes(a_node(boot_id="boot-2"))),
    "deleted": _ended(gone(terminating(exited(POD, 143)))),
    "evicted": _ended(disrupted(terminating(exited(POD, 143)), "EvictionByEvictionAPI")),
    "preempted by a pod": _ended(disrupted(terminating(exited(POD, 143)), "PreemptionByScheduler")),
    "its name is taken": _taken(),
    "rejected by its kubelet": replace(
        persisted(a_snapshot()),
        pods=(replace(bound(a_pod()), phase="Failed", reason="OutOfcpu"),),
    ),
    "resurrected": _ended(saying(exited(POD, 94), word="Resurrected")),
    "regranted": _ended(saying(exited(POD, 94), word="RegrantResume")),
    "a bad node": _ended(saying(exited(POD, 94), word="BadNode")),
    "out of memory": _ended(exited(POD, 137, "OOMKilled")),
    "stalled": _stalled(),
    "cannot start": _unprocessable(),
    "the platform cannot start it": _given_up(),
    "out of storage": _ended(
        replace(
            exited(POD, 137),
            reason="Evicted",
            message="Pod ephemeral local storage usage exceeds the total limit of containers 1Gi.",
        )
    ),
    "none is valid": _ended(saying(exited(POD, 94), word="NoValidCheckpoint")),
    "it refuses": _ended(exited(POD, 93)),
    "it fails": _ended(exited(POD, 1)),
    "nobody knows": _ended(exited(POD, 137, "ContainerStatusUnknown")),
    # The end of the job.
    "too many failures": _poor(exited(POD, 1)),
    "too many interruptions": _poor(gone(terminating(exited(POD, 143)))),
    "no progress": _without_progress(),
    "a suspect": _suspect(()),
    "one suspect too many": _suspect(("a1-s1", "a1-s2")),
    # Its farewell.
    "purged": _purging(Purge(1, after(0)), _purge_pod(0)),
    "a purge failed": _purging(Purge(1, after(0)), _purge_pod(1)),
    "left behind": _purging(None, namespace_terminating=True),
}
"""Each is a moment; what follows without anything happening belongs to it."""
