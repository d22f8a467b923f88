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
from spot_operator.domain.attempt.pod_cleanup import bury, orphans
from spot_operator.domain.attempt.progress import note_progress, note_running, note_started
from spot_operator.domain.attempt.ranks import note_ranks
from spot_operator.domain.attempt.silence import note_silence
from spot_operator.domain.attempt.starting import seal_creation, start_attempt
from spot_operator.domain.attempt.stopping import begin_stop
from spot_operator.domain.checkpoint_deletion import due_hold, farewell, note_farewell
from spot_operator.domain.crd_support import storable, unkept, until_upgraded
from spot_operator.domain.due_actions import actions
from spot_operator.domain.nodes.exclusions import prune
from spot_operator.domain.observed.context import Scene, look
from spot_operator.domain.observed.snapshot import JobView, Snapshot
from spot_operator.domain.repair import mend, own
from spot_operator.domain.shown.conditions import explain
from spot_operator.domain.shown.events import notes
from spot_operator.domain.state.ledger import Ledger
from spot_operator.domain.wake_times import BLIND, wake_after
from spot_operator.domain.write_urgency import figures_due, is_refused, is_transition

__all__ = ["Plan", "plan"]

Step = Callable[[Scene, Ledger], Ledger]

STEPS: Final[tuple[Step, ...]] = (
    mend,  # what others changed in the status
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
    snapshot = replace(snapshot, ledger=own(snapshot.ledger, job))
    if job.deleting:
        return _of_one_that_goes(snapshot, job)
    scene = look(snapshot, job)
    if snapshot.ledger.attempt == 0 and (change := due_hold(scene)) is not None:
        # Before anything of the job is stored, or is said to be.
        return Plan(actions=(change,), wake_after=BLIND)
    return _of_one_that_stays(scene)


def _of_one_that_stays(scene: Scene) -> Plan:
    ledger, lost = _advance(scene)
    if lost:
        scene = until_upgraded(scene, lost)
        ledger, _ = _advance(scene)
    ledger = storable(ledger, scene.snapshot.unkept) or scene.persisted
    if is_transition(scene.persisted, ledger):
        return _persist(scene, ledger, urgent=True)
    todo, due = actions(scene), figures_due(scene.persisted, ledger)
    if due and (not todo or is_refused(scene.snapshot)):
        # What is refused for hours must not hold up what people read meanwhile.
        return replace(_persist(scene, ledger, urgent=False), meanwhile=todo)
    return Plan(actions=todo, wake_after=wake_after(scene, ledger))


def _without_job(snapshot: Snapshot) -> Plan:
    there = (*snapshot.pods, *snapshot.purges)
    left = any(pod.owner_uid and not pod.gone for pod in there)
    return Plan(actions=tuple(orphans(snapshot)), wake_after=BLIND if left else None)


def _of_one_that_goes(snapshot: Snapshot, job: JobView) -> Plan:
    if not job.held:
        # Nothing is written or created any more; owner references take the pods along.
        return Plan(actions=tuple(bury(snapshot)), wake_after=BLIND)
    scene = look(snapshot, job)
    ledger = note_farewell(scene, scene.persisted)
    if unkept(ledger, snapshot.unkept):
        # What cannot be remembered is neither begun nor given up.
        ended = (one for one in farewell(scene) if isinstance(one, DeletePod))
        return Plan(actions=tuple(ended), wake_after=BLIND)
    told = ledger.conditions != scene.persisted.conditions
    if told or is_transition(scene.persisted, ledger):
        return _persist(scene, ledger, urgent=True)
    return Plan(actions=tuple(farewell(scene)), wake_after=BLIND)


def _advance(scene: Scene) -> tuple[Ledger, frozenset[str]]:
    """The ledger after every step that can be persisted, and what the others would lose.

    A step is taken whole or not at all: half of one would be taken again, and counted twice.
    """
    ledger, paths = scene.persisted, scene.snapshot.unkept
    lost = unkept(ledger, paths)
    for step in STEPS:
        stepped = step(scene, ledger)
        if not paths or step is explain or stepped == ledger:
            ledger = stepped
            continue
        missing = unkept(stepped, paths)
        lost |= missing
        ledger = ledger if missing else stepped
    return ledger, lost


def _persist(scene: Scene, ledger: Ledger, *, urgent: bool) -> Plan:
    timed = replace(ledger, job_uid=scene.job.uid, time=keep_time(scene, ledger))
    written = storable(prune(scene, timed), scene.snapshot.unkept)
    if written is None:
        return Plan(wake_after=BLIND)
    return Plan(
        ledger=written,
        urgent=urgent,
        events=notes(scene.persisted, written),
        wake_after=wake_after(scene, written),
    )
