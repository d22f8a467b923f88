"""What a person reads of the job: six conditions, each with a reason and what can be done.

A condition's time changes only with its status. No message carries a figure that moves by itself,
for a job at rest is not written.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from spot_operator.api.names import Condition, Ending, Reason, State
from spot_operator.domain.going_on import with_advice
from spot_operator.domain.ledger import ConditionRecord, Ledger
from spot_operator.domain.loss_bound import loss_bound
from spot_operator.domain.scene import Scene
from spot_operator.domain.snapshot import ReportView
from spot_operator.domain.summary import in_progress
from spot_operator.domain.text import CONDITION_MESSAGE, shorten
from spot_operator.domain.timeledger import is_placed

Status = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a condition should say now."""

    status: Status
    reason: Reason | Ending
    message: str


Judge = Callable[[Scene, Ledger], Finding | None]


def explain(scene: Scene, ledger: Ledger) -> Ledger:
    """`ledger` with conditions that say how things stand."""
    conditions = tuple(
        _condition(scene, ledger, kind, judge(scene, ledger)) for kind, judge in JUDGES.items()
    )
    return replace(
        ledger,
        conditions=tuple(one for one in conditions if one is not None),
        observed_generation=scene.job.generation,
        policy=scene.policy_name,
    )


def _condition(
    scene: Scene, ledger: Ledger, kind: Condition, found: Finding | None
) -> ConditionRecord | None:
    """The condition as found; None keeps what stands, for nothing new is known."""
    before = ledger.condition(kind)
    if found is None:
        return before and replace(before, observed_generation=scene.job.generation)
    same = before is not None and before.status == found.status
    return ConditionRecord(
        type=kind,
        status=found.status,
        reason=str(found.reason),
        message=shorten(found.message, CONDITION_MESSAGE),
        since=before.since if before is not None and same else scene.now,
        observed_generation=scene.job.generation,
    )


def _succeeded(scene: Scene, ledger: Ledger) -> Finding | None:
    if ledger.state is State.FINISHED:
        return None
    reason, message = in_progress(scene, ledger)
    return Finding("Unknown", reason, message)


def _running(scene: Scene, ledger: Ledger) -> Finding | None:
    if ledger.state in {State.WAITING, State.FINISHED}:
        return Finding("False", Reason.NO_ATTEMPT, "no attempt runs")
    if ledger.state is State.STOPPING:
        return Finding("False", Reason.DRAINING, f"attempt {ledger.attempt} is ending")
    first = ledger.ranks[0] if ledger.ranks else None
    if first is None or first.started is None:
        return Finding("False", Reason.STARTING, f"attempt {ledger.attempt} is starting")
    report = scene.report_of(first)
    if report is not None:
        return _reported(ledger, report)
    before = ledger.condition(Condition.RUNNING)
    # A new leader has no reports yet: what the last one heard still stands.
    known = before is not None and before.reason in {Reason.TRAINING, Reason.RESTORING}
    message = f"attempt {ledger.attempt} runs; its sidecar has not reported yet"
    return None if known else Finding("False", Reason.STARTING, message)


def _reported(ledger: Ledger, report: ReportView) -> Finding:
    attempt = f"attempt {ledger.attempt}"
    if report.state == "Training":
        return Finding("True", Reason.TRAINING, f"{attempt} trains")
    if report.state == "Restoring":
        return Finding("False", Reason.RESTORING, f"{attempt} restores a checkpoint")
    if report.state in {"Draining", "Ended"}:
        return Finding("False", Reason.DRAINING, f"{attempt} is ending")
    return Finding("False", Reason.STARTING, f"{attempt} is starting")


def _suspended(scene: Scene, ledger: Ledger) -> Finding:
    if not scene.job.spec.suspend or ledger.state is State.FINISHED:
        return Finding("False", Reason.NOT_SUSPENDED, "the job is not suspended")
    if ledger.state is State.WAITING:
        message = "spec.suspend is set; set it to false to go on from the newest checkpoint"
        return Finding("True", Reason.SUSPENDED, message)
    return Finding("False", Reason.SUSPENDING, f"attempt {ledger.attempt} saves its state and ends")


def _capacity(scene: Scene, ledger: Ledger) -> Finding | None:
    if ledger.state in {State.WAITING, State.FINISHED}:
        return Finding("Unknown", Reason.NOT_NEEDED, "no attempt needs capacity now")
    if ledger.state is State.STOPPING:
        return None
    if is_placed(ledger) and len(ledger.ranks) == scene.workers:
        return Finding("True", Reason.PLACED, "every pod has its node")
    for record in ledger.ranks:
        pod = scene.pod_of(record)
        if pod is not None and pod.unschedulable:
            message = (
                f"no node takes pod {pod.name}; it waits for one. The scheduler says: "
                f"{pod.unschedulable}"
            )
            return Finding("False", Reason.UNSCHEDULABLE, message)
    return Finding("Unknown", Reason.PLACING, "pods are being created and placed")


STORE_PROBLEMS: Final = {
    "StoreUnreachable": (
        Reason.STORE_UNREACHABLE,
        "the store cannot be reached; nothing starts from zero for it. Check endpoint and network",
    ),
    "StoreDenied": (
        Reason.STORE_DENIED,
        "the store refuses; check what the credentials, or user 65532 in a volume, may do there",
    ),
    "NoValidCheckpoint": (
        Reason.NO_VALID_CHECKPOINT,
        "checkpoints were committed and none is valid",
    ),
    "StagingTooSmall": (
        Reason.STAGING_TOO_SMALL,
        "the state does not fit; create a job with a larger checkpoint.staging.sizeLimit",
    ),
    "CheckpointCorrupt": (
        Reason.CHECKPOINT_CORRUPT,
        "a checkpoint did not verify; the one before it is used",
    ),
}


def _checkpoints(scene: Scene, ledger: Ledger) -> Finding | None:
    newest = ledger.checkpoint.newest
    report = scene.report_of(ledger.ranks[0]) if ledger.ranks else None
    if report is None or ledger.state in {State.WAITING, State.FINISHED}:
        fallback = Finding("Unknown", Reason.NONE_YET, "no checkpoint has been committed yet")
        return None if ledger.condition(Condition.CHECKPOINTS_HEALTHY) else fallback
    if report.problem is not None and report.problem.kind in STORE_PROBLEMS:
        reason, says = STORE_PROBLEMS[report.problem.kind]
        message = f"{says}: {report.problem.message}"
        if reason is Reason.STAGING_TOO_SMALL:
            message = with_advice(scene, ledger, message)
        return Finding("False", reason, message)
    if report.quarantined and (newest is None or newest.ref.attempt < ledger.attempt):
        reason, says = STORE_PROBLEMS["CheckpointCorrupt"]
        named = "; ".join(f"{name}: {why}" for name, why in report.quarantined)
        return Finding("False", reason, f"{says}: {named}")
    if newest is None:
        return _none_yet(report)
    return Finding("True", Reason.COMMITTED, "the newest checkpoint is committed")


def _none_yet(report: ReportView) -> Finding:
    problem = report.problem
    if problem is not None and problem.kind == Reason.UNFINISHED_LINEAGE:
        return Finding("Unknown", Reason.UNFINISHED_LINEAGE, problem.message)
    return Finding("Unknown", Reason.NONE_YET, "no checkpoint has been committed yet")


def _loss_bound(scene: Scene, ledger: Ledger) -> Finding | None:
    if ledger.state is State.FINISHED:
        return None
    found = loss_bound(scene, ledger)
    return Finding(found.status, found.reason, found.message)


JUDGES: Final[dict[Condition, Judge]] = {
    Condition.SUCCEEDED: _succeeded,
    Condition.RUNNING: _running,
    Condition.SUSPENDED: _suspended,
    Condition.CAPACITY_AVAILABLE: _capacity,
    Condition.CHECKPOINTS_HEALTHY: _checkpoints,
    Condition.LOSS_BOUND_FEASIBLE: _loss_bound,
}
