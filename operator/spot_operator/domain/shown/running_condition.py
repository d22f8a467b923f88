"""Condition Running: whether the trainer makes steps, and otherwise what is known instead."""

from typing import Final

from spot_operator.api.names import Condition, Reason, State
from spot_operator.domain.attempt.last_word import last_word
from spot_operator.domain.attempt.pod_ending import OWN_WORDS
from spot_operator.domain.attempt.silence import says_busy
from spot_operator.domain.formats.text import STATUS_MESSAGE, shorten
from spot_operator.domain.formats.timestamps import timestamp
from spot_operator.domain.nodes.node_loss import is_stale
from spot_operator.domain.nodes.overstay import overstay, overstaying
from spot_operator.domain.observed.context import Context
from spot_operator.domain.observed.snapshot import PodView, ReportView
from spot_operator.domain.shown.finding import Finding
from spot_operator.domain.state.ledger import Ledger, RankRecord, Standstill

HEARD: Final = frozenset(
    {
        Reason.STARTING,
        Reason.TRAINING,
        Reason.RESTORING,
        Reason.NOT_STEPPING,
        Reason.NOT_REGISTERED,
    }
)
"""What a report may have said: it stands until this leader has heard one itself."""


def running(context: Context, ledger: Ledger) -> Finding | None:
    """What Running should say; None: nothing new is known."""
    late = overstaying(context)
    if late is not None:
        return Finding("False", Reason.POD_NOT_ENDING, overstay(context, late))
    if ledger.state in {State.WAITING, State.FINISHED}:
        return Finding("False", Reason.NO_ATTEMPT, "no attempt runs")
    if ledger.state is State.STOPPING:
        return Finding("False", Reason.DRAINING, f"attempt {ledger.attempt} is ending")
    first = ledger.ranks[0] if ledger.ranks else None
    if first is None or first.started is None:
        return _starting(context, ledger, first)
    silent = next((one for one in ledger.ranks if one.silent_since is not None), None)
    if silent is not None:
        return Finding("Unknown", Reason.REPORTS_SILENT, _silent(context, ledger, silent))
    report = context.report_of(first)
    return _unheard(ledger) if report is None else _reported(context, ledger, report)


def _starting(context: Context, ledger: Ledger, first: RankRecord | None) -> Finding:
    """Before its trainer runs: what the pod waits for, where something in it holds it up."""
    starting = f"attempt {ledger.attempt} is starting"
    pod = context.pod_of(first) if first is not None else None
    holder = next((one for one in pod.others if one.holds), None) if pod is not None else None
    if pod is None or holder is None:
        return Finding("False", Reason.STARTING, starting)
    since = f" since {timestamp(holder.started_at)}" if holder.started_at is not None else ""
    until = "until its startup probe passes" if holder.stays else "until it ends"
    message = (
        f"{starting}: its trainer is held back by init container {holder.name}, which runs{since}, "
        f"{until}; `kubectl logs {pod.name} -c {holder.name}` shows what it does"
    )
    return Finding("False", Reason.STARTING, message)


def _unheard(ledger: Ledger) -> Finding | None:
    before = ledger.condition(Condition.RUNNING)
    if before is not None and before.reason in HEARD:
        return None
    return Finding("False", Reason.STARTING, f"attempt {ledger.attempt} is starting")


def _reported(context: Context, ledger: Ledger, report: ReportView) -> Finding:
    attempt = f"attempt {ledger.attempt}"
    if report.state == "Restoring":
        return Finding("False", Reason.RESTORING, f"{attempt} restores a checkpoint")
    if report.state in {"Draining", "Ended"}:
        return Finding("False", Reason.DRAINING, f"{attempt} is ending{_why(ledger)}")
    still = next((one for one in ledger.ranks if one.still is not None), None)
    if still is not None and still.still is not None:
        return _standing(context, ledger, still, still.still)
    if report.state != "Training":
        return Finding("False", Reason.STARTING, f"{attempt} is starting")
    if context.is_script or (ledger.current is not None and ledger.current.step is not None):
        busy = says_busy(report)
        meanwhile = f': it says that it is busy with "{busy}", and makes no step meanwhile'
        return Finding("True", Reason.TRAINING, f"{attempt} trains{meanwhile if busy else ''}")
    return Finding("False", Reason.STARTING, f"{attempt} has its state and has made no step yet")


def _why(ledger: Ledger) -> str:
    """What the sidecar stopped the trainer for, if it did."""
    words = (one.word for one in ledger.ranks if one.word is not None)
    said = next((one for one in words if one.word not in OWN_WORDS), None)
    return f": {said.reason}" if said is not None and said.reason else ""


def _standing(context: Context, ledger: Ledger, record: RankRecord, still: Standstill) -> Finding:
    since, pod = timestamp(still.since), context.pod_of(record)
    trainer = pod.trainer.name if pod is not None else "trainer"
    name = context.pod_name(ledger.attempt, record.rank)
    logs = f"`kubectl logs {name} -c {trainer}` shows where it is"
    report = context.report_of(record)
    if report is not None and not report.registered:
        message = (
            f"the trainer of pod {name} has run since {since} and has never called the SDK, so "
            "nothing can be saved: call spot_training.resume() in the script, or set "
            "checkpoint.source.directory in a new job for a script that cannot be changed; "
            f"{logs}"
        )
        return Finding("Unknown", Reason.NOT_REGISTERED, message)
    stepped = ledger.current is not None and ledger.current.step is not None
    what = f"no step after {still.step}" if stepped else "no step of its own"
    busy = f', and says that it is busy with "{still.busy}"' if still.busy else ""
    message = f"the trainer of pod {name} runs and has made {what} since {since}{busy}; {logs}"
    return Finding(
        "False", Reason.NOT_STEPPING, f"{message}; {_stalls(context, still, stepped=stepped)}"
    )


def _stalls(context: Context, still: Standstill, *, stepped: bool) -> str:
    """What becomes of a trainer that makes no step."""
    limit = context.job.spec.stall_timeout
    if still.busy:
        return (
            "spec.stallTimeout does not count meanwhile: if it hangs, delete the pod to begin again"
        )
    if limit is None:
        return "set spec.stallTimeout to end attempts that stop making steps"
    if not stepped:
        return "spec.stallTimeout counts from the first step: delete the pod to begin again"
    return f"it is ended as Stalled at {timestamp(still.since + limit)}"


def _silent(context: Context, ledger: Ledger, record: RankRecord) -> str:
    since = timestamp(record.silent_since) if record.silent_since is not None else "long ago"
    name, pod = context.pod_name(ledger.attempt, record.rank), context.pod_of(record)
    says = (
        f"the sidecar of pod {name} has reported nothing since {since}: it is not known whether "
        f"attempt {ledger.attempt} trains and saves"
    )
    known = (_sidecar(pod), _node(context, pod)) if pod is not None else ()
    return ". ".join([says, *filter(None, known)])


def _sidecar(pod: PodView) -> str:
    """How the sidecar is. It must not change with every restart: nobody could read it."""
    sidecar = pod.sidecar
    logs = f"`kubectl logs {pod.name} -c {sidecar.name}"
    if sidecar.restarts or sidecar.state == "terminated":
        why = (sidecar.reason if sidecar.state == "terminated" else "") or sidecar.last_reason
        looping = "CrashLoopBackOff, " if sidecar.restarts > 1 else ""
        ended = f"Its sidecar ended and is restarted ({looping}last end: {why or 'unknown'})"
        return f"{ended}: {_last_message(pod)}; see {logs} --previous`"
    if sidecar.state == "waiting":
        return f"Its sidecar does not run ({sidecar.reason}): {sidecar.message}; see {logs}`"
    return (
        "Its sidecar runs: check that the pod reaches the operator's reports Service (network "
        f"policies, a proxy in the pod, a dnsPolicy that finds no Services); see {logs}`"
    )


def _last_message(pod: PodView) -> str:
    said = last_word(pod)
    if said.problem is not None:
        return f"{said.problem.kind}: {said.problem.message}"
    if said.word is not None:
        return f"{said.word.word}: {said.word.reason}"
    own = pod.sidecar.message if pod.sidecar.state == "terminated" else ""
    raw = own or pod.sidecar.last_message
    # Its last word without problem or word is JSON of ours, which tells a person nothing.
    return "it left no message" if raw.startswith("{") or not raw else shorten(raw, STATUS_MESSAGE)


def _node(context: Context, pod: PodView) -> str:
    """What the node's state adds. Its messages are not quoted: some count seconds."""
    node = context.snapshot.nodes.get(pod.node_name or "")
    if node is None:
        return ""
    if is_stale(node, context.snapshot.visibility, context.unreachable_after):
        return f"Node {node.name} is silent too: the attempt ends when its loss is certain"
    if node.ready:
        return ""
    ready = next((one for one in node.conditions if one.type == "Ready"), None)
    since = f" since {timestamp(ready.since)}" if ready is not None and ready.since else ""
    return (
        f"Node {node.name} is not ready{since} ({node.ready_reason or 'no reason given'}) though "
        "its kubelet is alive, so the trainer may still run and is not replaced: fix what the "
        "node's condition names (`kubectl describe node`), or reboot it, which ends the attempt"
    )
