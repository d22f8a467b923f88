"""From a snapshot to a plan: the table of contents of what the operator does.

A pass either persists a new ledger or acts on the ledger it sees persisted, never both: so a crash
between two writes leaves a ledger that says what was under way, and the write itself, guarded by
the resource version, keeps a paused former leader out.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from spot_operator.domain.accounts.time_buckets import keep_time
from spot_operator.domain.actions import DeletePod, Plan
from spot_operator.domain.attempt.concluding import record_ending
from spot_operator.domain.attempt.pod_cleanup import force_delete_stuck, orphans
from spot_operator.domain.attempt.progress import note_progress, note_running, note_started
from spot_operator.domain.attempt.ranks import note_ranks
from spot_operator.domain.attempt.silence import note_silence
from spot_operator.domain.attempt.starting import seal_creation, start_attempt
from spot_operator.domain.attempt.stopping import begin_stop
from spot_operator.domain.checkpoint_deletion import deletion_actions, due_hold, note_deletion
from spot_operator.domain.crd_support import storable, unkept, until_upgraded
from spot_operator.domain.due_actions import actions
from spot_operator.domain.nodes.exclusions import prune
from spot_operator.domain.observed.context import Context, context_of
from spot_operator.domain.observed.snapshot import JobView, Snapshot
from spot_operator.domain.repair import of_this_job, repair
from spot_operator.domain.shown.conditions import explain
from spot_operator.domain.shown.events import events
from spot_operator.domain.state.ledger import Ledger
from spot_operator.domain.wake_times import BLIND, wake_after
from spot_operator.domain.write_urgency import figures_due, is_refused, is_transition

__all__ = ["Plan", "plan"]

Step = Callable[[Context, Ledger], Ledger]

STEPS: Final[tuple[Step, ...]] = (
    repair,  # what others changed in the status
    note_ranks,  # who was seen, where, what was said, how it ended
    seal_creation,  # Creating -> Created: every pod was seen, none is created any more
    note_started,  # from then on a start that fails is not the job's fault
    note_running,
    note_progress,  # resumed from, committed, stepped
    note_silence,  # what does not come any more, and since when
    begin_stop,  # Creating, Created -> Stopping: a rank is lost, or the attempt must end
    record_ending,  # Stopping -> Waiting, Finished: once, with its charge and the wait
    start_attempt,  # Waiting -> Creating: the number is taken before the first pod exists
    explain,  # conditions
)


def plan(snapshot: Snapshot) -> Plan:
    """What to do now. Pure: the same snapshot gives the same plan."""
    job = snapshot.job
    if job is None:
        return _without_job(snapshot)
    snapshot = replace(snapshot, ledger=of_this_job(snapshot.ledger, job))
    if job.deleting:
        return _of_one_that_goes(snapshot, job)
    context = context_of(snapshot, job)
    if snapshot.ledger.attempt == 0 and (change := due_hold(context)) is not None:
        # Before anything of the job is stored, or is said to be.
        return Plan(actions=(change,), wake_after=BLIND)
    return _of_one_that_stays(context)


def _of_one_that_stays(context: Context) -> Plan:
    ledger, lost = _advance(context)
    if lost:
        context = until_upgraded(context, lost)
        ledger, _ = _advance(context)
    ledger = storable(ledger, context.snapshot.unkept) or context.persisted
    if is_transition(context.persisted, ledger):
        return _persist(context, ledger, urgent=True)
    todo, due = actions(context), figures_due(context.persisted, ledger)
    if due and (not todo or is_refused(context.snapshot)):
        # What is refused for hours must not hold up what people read meanwhile.
        return replace(_persist(context, ledger, urgent=False), meanwhile=todo)
    return Plan(actions=todo, wake_after=wake_after(context, ledger))


def _without_job(snapshot: Snapshot) -> Plan:
    there = (*snapshot.pods, *snapshot.purges)
    left = any(pod.owner_uid and not pod.gone for pod in there)
    return Plan(actions=tuple(orphans(snapshot)), wake_after=BLIND if left else None)


def _of_one_that_goes(snapshot: Snapshot, job: JobView) -> Plan:
    if not job.held:
        # Nothing is written or created any more; owner references take the pods along.
        return Plan(actions=tuple(force_delete_stuck(snapshot)), wake_after=BLIND)
    context = context_of(snapshot, job)
    ledger = note_deletion(context, context.persisted)
    if unkept(ledger, snapshot.unkept):
        # What cannot be remembered is neither begun nor given up.
        ended = (one for one in deletion_actions(context) if isinstance(one, DeletePod))
        return Plan(actions=tuple(ended), wake_after=BLIND)
    told = ledger.conditions != context.persisted.conditions
    if told or is_transition(context.persisted, ledger):
        return _persist(context, ledger, urgent=True)
    return Plan(actions=tuple(deletion_actions(context)), wake_after=BLIND)


def _advance(context: Context) -> tuple[Ledger, frozenset[str]]:
    """The ledger after every step that can be persisted, and what the others would lose.

    A step is taken whole or not at all: half of one would be taken again, and counted twice.
    """
    ledger, paths = context.persisted, context.snapshot.unkept
    lost = unkept(ledger, paths)
    for step in STEPS:
        stepped = step(context, ledger)
        if not paths or step is explain or stepped == ledger:
            ledger = stepped
            continue
        missing = unkept(stepped, paths)
        lost |= missing
        ledger = ledger if missing else stepped
    return ledger, lost


def _persist(context: Context, ledger: Ledger, *, urgent: bool) -> Plan:
    timed = replace(ledger, job_uid=context.job.uid, time=keep_time(context, ledger))
    written = storable(prune(context, timed), context.snapshot.unkept)
    if written is None:
        return Plan(wake_after=BLIND)
    return Plan(
        ledger=written,
        urgent=urgent,
        events=events(context.persisted, written),
        wake_after=wake_after(context, written),
    )
