"""Deletes the checkpoints of a job with `deletionPolicy: Delete` before it releases the finalizer.

Our finalizer keeps the deleted job until then. It also keeps the job's pods, which the garbage
collector therefore leaves to us. Once all of them have ended or are fenced, a pod with the job's
identity deletes the lineage; the operator itself has no credentials for it. The outcome of a try is
persisted before the next try begins, and the outcome of all before the finalizer goes, so that a
crash neither forgets a job nor deletes for one that stays. Nothing here holds a job for ever.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from spot_operator.api import names
from spot_operator.api.job import DeletionPolicy
from spot_operator.api.names import Condition, Reason, State
from spot_operator.domain.actions import Action, CreatePurge, DeletePod, Hold
from spot_operator.domain.attempt.pod_cleanup import end_all
from spot_operator.domain.attempt.pod_refusals import with_help_for_purge
from spot_operator.domain.attempt.ranks import note_ranks
from spot_operator.domain.formats.foreign_json import read_object
from spot_operator.domain.formats.text import CONDITION_MESSAGE, shorten
from spot_operator.domain.nodes.fencing import is_forced
from spot_operator.domain.nodes.overstay import overstaying
from spot_operator.domain.observed.context import Context
from spot_operator.domain.observed.elapsed import lasted, purging
from spot_operator.domain.observed.snapshot import JobView, PodView
from spot_operator.domain.shown.conditions import explain, explain_running
from spot_operator.domain.state.ledger import Ledger, Purge

LIMIT: Final = timedelta(minutes=30)
"""For one try, once its pod has started: what it has deleted by then stays deleted."""
STARTS_WITHIN: Final = timedelta(minutes=10)
"""For its pod to start: no node, image or volume is waited for longer."""
WAITS: Final = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=5))
"""After each try that failed; after the last one the checkpoints are left where they are."""
TRIES: Final = len(WAITS) + 1
DELETION_POLICY: Final = "spec.checkpoint.deletionPolicy"
ENDING: Final = timedelta(minutes=1)
"""What the kubelet may need to end a pod at its deadline and to say so."""


def hold(job: JobView) -> Hold | None:
    """What has to be done about the finalizer of a job that is not being deleted.

    Nothing, as long as it cannot be read what the job asks for.
    """
    if job.unreadable:
        return None
    wanted = is_wanted(job)
    return None if wanted == job.held else Hold(wanted)


def due_hold(context: Context) -> Hold | None:
    """What has to be done about it now: in a namespace that goes, nothing."""
    return None if context.snapshot.namespace_terminating else hold(context.job)


def is_wanted(job: JobView) -> bool:
    """Whether the job's checkpoints are to be deleted with it, or may be: it cannot be read."""
    if DELETION_POLICY in job.unreadable:
        return True
    return job.spec.checkpoint.deletion_policy is DeletionPolicy.DELETE


def note_deletion(context: Context, ledger: Ledger) -> Ledger:
    """`ledger` of a job that is deleted and held, with what became of its pods and of the tries."""
    if _may_go(context, ledger):
        return ledger
    if context.snapshot.namespace_terminating:
        why = "the namespace is being deleted, and no pod can be created in it"
        now = ledger.purge or Purge(0, context.now)
        return replace(ledger, purge=_left(context, now, why))
    ledger = note_ranks(context, ledger)
    if context.job.unreadable:
        return explain(context, ledger)
    ledger = _named(context, ledger)
    if not (all_over(context, ledger) and context.snapshot.visibility.fresh):
        return ledger
    return replace(ledger, purge=_judged(context, ledger.purge))


def _named(context: Context, ledger: Ledger) -> Ledger:
    """`ledger` naming the pod that does not end, and with it the job."""
    running = ledger.condition(Condition.RUNNING)
    told = running is not None and running.reason == Reason.POD_NOT_ENDING
    late = overstaying(context) is not None
    return explain_running(context, ledger) if late or told else ledger


def deletion_actions(context: Context) -> Iterator[Action]:
    """What is to be done about a job that is deleted and held, by its ledger as persisted."""
    ledger = context.persisted
    if _may_go(context, ledger):
        yield from _stopped(context, None)
        yield Hold(wanted=False)
        return
    yield from end_all(context, ledger)
    purge = ledger.purge
    if context.job.unreadable:
        # Where the checkpoints lie, and whether they are to go, would be a guess.
        return
    if purge is None or waited(context, purge) < timedelta(0) or not all_over(context, ledger):
        return
    yield from _stopped(context, purge.number)
    if context.snapshot.visibility.fresh and _is_due(context, purge):
        yield CreatePurge(purge.number)


def all_over(context: Context, ledger: Ledger) -> bool:
    """Whether no process of the job can write to its lineage any more.

    A pod that a deletion with `--cascade=orphan` left without an owner counts as one of the job's.
    """
    owners = {"", context.job.uid}
    alive = (pod for pod in context.snapshot.pods if pod.owner_uid in owners and not pod.gone)
    if any(not pod.terminal and not is_forced(pod) for pod in alive):
        return False
    between_attempts = ledger.state in {State.WAITING, State.FINISHED}
    return between_attempts or all(one.ended is not None for one in ledger.ranks)


def waited(context: Context, purge: Purge) -> timedelta:
    """Since the try began; below zero: it is to begin so much later."""
    wait = WAITS[min(purge.number - 1, len(WAITS)) - 1] if purge.number > 1 else timedelta(0)
    return lasted(context.snapshot, purging(context.persisted), purge.since - wait) - wait


def place(job: JobView) -> str:
    """Where the job's lineage lies, for a person."""
    store, path = job.spec.checkpoint.store, f"{job.namespace}/{job.name}/{job.uid}/"
    if store.s3 is not None:
        return "s3://" + "/".join(filter(None, (store.s3.bucket, store.s3.prefix, path)))
    if store.volume is not None:
        inside = "/".join(filter(None, (store.volume.path, path)))
        return f"{inside} of claim {store.volume.claim_name}"
    return path


def _may_go(context: Context, ledger: Ledger) -> bool:
    """Whether nothing is left to wait for: it is over, not wanted any more, or nothing began."""
    over = ledger.purge is not None and ledger.purge.outcome is not None
    never_began = ledger.attempt == 0 and all_over(context, ledger)
    return over or never_began or not is_wanted(context.job)


def _stopped(context: Context, number: int | None) -> Iterator[DeletePod]:
    """The pods of other tries than this one are ended."""
    for pod in context.snapshot.purges:
        over = pod.gone or pod.terminal or pod.deletion_at is not None
        if pod.owner_uid == context.job.uid and pod.purge != number and not over:
            yield DeletePod(pod.name, pod.uid, None, "its try to delete the lineage is over")


def _is_due(context: Context, purge: Purge) -> bool:
    taken = names.purge_pod_name(context.job.name, purge.number) in context.snapshot.foreign
    return not taken and _pod_of(context, purge.number) is None


def _pod_of(context: Context, number: int) -> PodView | None:
    """The pod of that try, or its tombstone; one that is there speaks for it first."""
    found = (
        pod
        for pod in context.snapshot.purges
        if (pod.owner_uid, pod.purge) == (context.job.uid, number)
    )
    return min(found, key=lambda pod: (pod.gone, pod.uid), default=None)


def _judged(context: Context, known: Purge | None) -> Purge:
    """The try under way, the next one, or how it all ended."""
    if known is None:
        return Purge(1, context.now)
    if waited(context, known) < timedelta(0):
        return known
    pod = _pod_of(context, known.number)
    if pod is not None and _is_over(pod) and pod.trainer.exit_code == 0:
        message = shorten(_deleted(context.job, _word(pod)), CONDITION_MESSAGE)
        return replace(known, outcome="Deleted", message=message)
    why = _failure(context, known, pod)
    if why is None:
        return known
    if known.number >= TRIES:
        return _left(context, known, why)
    message = (
        f"try {known.number} of {TRIES} to delete the checkpoints in {place(context.job)} failed: "
        f"{why}"
    )
    since = context.now + WAITS[known.number - 1]
    return Purge(known.number + 1, since, message=shorten(message, CONDITION_MESSAGE))


def _is_over(pod: PodView) -> bool:
    """Whether nothing deletes any more: a proxy that a webhook added may run for ever."""
    return pod.terminal or pod.trainer.ended


def _failure(context: Context, known: Purge, pod: PodView | None) -> str | None:
    """Why the try has failed; None: it has not."""
    passed = waited(context, known)
    if pod is None:
        return _absence(context, names.purge_pod_name(context.job.name, known.number), passed)
    if _is_over(pod):
        said = _word(pod).get("problem") or pod.message or pod.reason or pod.trainer.reason
        return str(said or f"exit code {pod.trainer.exit_code}")
    if pod.gone:
        return "its pod was deleted before it had ended"
    if not pod.trainer.started and passed >= STARTS_WITHIN:
        stuck = pod.unschedulable or pod.trainer.message or pod.trainer.reason
        return f"its pod did not start: {stuck or 'no reason is reported'}"
    return f"it did not end within {LIMIT}" if passed >= STARTS_WITHIN + LIMIT + ENDING else None


def _absence(context: Context, name: str, waited: timedelta) -> str | None:
    """Why the pod of that name will not come to be; None: it may yet."""
    if name in context.snapshot.foreign:
        return f"pod {name} exists already and does not belong to this job"
    if waited < STARTS_WITHIN:
        return None
    refusal = context.snapshot.refusal
    if refusal is not None and refusal.pod == name:
        helped = with_help_for_purge(refusal.message, refusal.added)
        return f"the API server refuses its pod: {helped}"
    return "its pod was never created"


def _left(context: Context, known: Purge, why: str) -> Purge:
    message = (
        f"the job is removed; what is left of its checkpoints stays in {place(context.job)} and "
        f"must be deleted by hand: {why}"
    )
    return replace(known, outcome="Left", message=shorten(message, CONDITION_MESSAGE))


def _deleted(job: JobView, word: dict[str, Any]) -> str:
    count, kept = word.get("deleted"), word.get("kept")
    what = f"{count} objects are deleted" if isinstance(count, int) else "everything is deleted"
    stays = (
        f"; pinned checkpoints stay: {', '.join(map(str, kept))}" if isinstance(kept, list) else ""
    )
    return f"{what} from {place(job)}{stays if kept else ''}"


def _word(pod: PodView) -> dict[str, Any]:
    """The termination message; whoever may write pods may have written it."""
    return read_object(pod.trainer.message)
