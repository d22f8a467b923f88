"""One line on a job that is not over: what it does, or what it waits for and how to help it."""

from datetime import timedelta

from spot_operator.api.names import Ending, Reason, State
from spot_operator.domain.accounts.backoff import wait_left
from spot_operator.domain.attempt.concluding import is_over
from spot_operator.domain.attempt.pod_refusals import with_help
from spot_operator.domain.attempt.start_problems import is_jobs_own, told_as
from spot_operator.domain.attempt.starting import is_held
from spot_operator.domain.formats.timestamps import timestamp
from spot_operator.domain.nodes.overstay import overstay, overstaying
from spot_operator.domain.observed.context import GOING, Scene
from spot_operator.domain.state.ledger import AttemptRecord, Ledger


def in_progress(scene: Scene, ledger: Ledger) -> tuple[Reason | Ending, str]:
    """Reason and message of condition Succeeded while it is Unknown."""
    if scene.hindrance is not None and _is_hindered(scene, ledger):
        return scene.hindrance.reason, f"{scene.hindrance.message}{_undecided(scene, ledger)}"
    if scene.snapshot.namespace_goes and _needs_pods(scene, ledger):
        return Reason.NAMESPACE_TERMINATING, GOING
    if ledger.state is State.WAITING:
        return _waiting(scene, ledger)
    if scene.barred and scene.hindrance is not None:
        return scene.hindrance.reason, scene.hindrance.message
    if ledger.state is State.STOPPING:
        cause = ledger.stopping.cause if ledger.stopping is not None else None
        why = f": {cause}" if cause is not None else ""
        ending = f"attempt {ledger.attempt} is ending{why}{_held_up(scene)}"
        return _refused(scene) or (Reason.IN_PROGRESS, ending)
    return _live(scene, ledger)


def _needs_pods(scene: Scene, ledger: Ledger) -> bool:
    """Whether a pod is about to be created, by which we ask again whether any can be."""
    waits = ledger.state is State.WAITING and not is_held(scene, ledger)
    return waits or ledger.state is State.CREATING


def _is_hindered(scene: Scene, ledger: Ledger) -> bool:
    """Whether something waits that the hindrance holds back; a running attempt only goes on."""
    if scene.job.unreadable or scene.barred or ledger.state is State.WAITING:
        return True
    if ledger.state is State.STOPPING:
        return scene.in_doubt and is_over(scene, ledger)
    return scene.in_doubt and ledger.state is State.CREATING


def _undecided(scene: Scene, ledger: Ledger) -> str:
    over = ledger.state is State.STOPPING and bool(ledger.ranks) and is_over(scene, ledger)
    return f"; attempt {ledger.attempt} has ended, and its charge is decided then" if over else ""


def _refused(scene: Scene) -> tuple[Reason, str] | None:
    """What the API server refuses beside pods, if anything."""
    refusal = next(iter(scene.snapshot.refusals), None)
    if refusal is None:
        return None
    message = (
        f"the API server refuses to {refusal.what}; the operator tries again: {refusal.message}"
    )
    return Reason.WRITES_REFUSED, message


def _live(scene: Scene, ledger: Ledger) -> tuple[Reason | Ending, str]:
    refusal = scene.snapshot.refusal
    if ledger.state is State.CREATING and refusal is not None:
        message = (
            f"the API server refuses pod {refusal.pod}; the operator tries again: "
            f"{with_help(refusal.message, scene.job.counts)}"
        )
        return Reason.PODS_REFUSED, message
    if (refused := _refused(scene)) is not None:
        return refused
    trouble = next((one.trouble for one in ledger.ranks if one.trouble is not None), None)
    if trouble is not None:
        message = f"attempt {ledger.attempt} cannot start ({trouble.reason}): {trouble.message}"
        own = is_jobs_own(trouble, started=ledger.has_started)
        return Reason.IN_PROGRESS if own else told_as(trouble), message
    under_way = f"attempt {ledger.attempt} is under way{_but_silent(ledger)}{_held_up(scene)}"
    return Reason.IN_PROGRESS, f"{under_way}{_after(ledger)}"


def _waiting(scene: Scene, ledger: Ledger) -> tuple[Reason | Ending, str]:
    if scene.job.refusal is not None:
        return Reason.INVALID_SPEC, scene.job.refusal
    if scene.job.spec.suspend:
        return Reason.SUSPENDED, "spec.suspend is set"
    if (refused := _refused(scene)) is not None:
        return refused
    if ledger.not_before is not None and wait_left(scene, ledger) > timedelta(0):
        at = timestamp(ledger.not_before.replace(microsecond=0))
        return Reason.BACKING_OFF, f"attempt {ledger.attempt + 1} starts at {at}{_after(ledger)}"
    about = f"attempt {ledger.attempt + 1} is about to start"
    return Reason.IN_PROGRESS, f"{about}{_held_up(scene)}{_after(ledger)}"


def _but_silent(ledger: Ledger) -> str:
    """Condition Running has more; who reads this line alone must not take silence for health."""
    for record in ledger.ranks:
        if record.silent_since is not None:
            return f", but its sidecar has reported nothing since {timestamp(record.silent_since)}"
        if record.still is not None:
            return f", but it has made no step since {timestamp(record.still.since)}"
    return ""


def _held_up(scene: Scene) -> str:
    late = overstaying(scene)
    return f"; {overstay(scene, late)}" if late is not None else ""


def _after(ledger: Ledger) -> str:
    ended = next((one for one in reversed(ledger.attempts) if one.ending), None)
    return f"; {_said(ended)}" if ended is not None else ""


def _said(ended: AttemptRecord) -> str:
    charged = f", charged as {ended.charged.lower()}" if ended.charged is not None else ""
    return f"attempt {ended.number} ended {ended.ending}{charged}: {ended.message}"
