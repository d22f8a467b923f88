"""The next attempt: its number is taken, and persisted, before its first pod exists."""

from dataclasses import replace
from typing import Final

from spot_operator.api.names import State
from spot_operator.domain.fencing import may_be_forced
from spot_operator.domain.ledger import AttemptRecord, Ledger
from spot_operator.domain.scene import Scene

ATTEMPTS_KEPT: Final = 20


def start_attempt(scene: Scene, ledger: Ledger) -> Ledger:
    """`ledger` with the next attempt's number taken, when nothing speaks against an attempt."""
    if ledger.state is not State.WAITING or is_held(scene, ledger) or predecessors(scene, ledger):
        return ledger
    number = ledger.attempt + 1
    record = AttemptRecord(number=number, created_at=scene.now)
    return replace(
        ledger,
        attempt=number,
        state=State.CREATING,
        not_before=None,
        ranks=(),
        attempts=(*ledger.attempts, record)[-ATTEMPTS_KEPT:],
        checkpoint=replace(ledger.checkpoint, attempt_commits=0),
    )


def seal_creation(scene: Scene, ledger: Ledger) -> Ledger:
    """`ledger` Created once every pod was seen: none of this attempt is created after that."""
    if ledger.state is not State.CREATING or len(ledger.ranks) < scene.workers:
        return ledger
    return replace(ledger, state=State.CREATED)


def is_held(scene: Scene, ledger: Ledger) -> bool:
    """Whether the user, the policy or the back-off holds the next attempt back."""
    wished = not scene.job.spec.suspend
    allowed = scene.hindrance is None and scene.job.refusal is None
    due = ledger.not_before is None or scene.now >= ledger.not_before
    return not (wished and allowed and due)


def predecessors(scene: Scene, ledger: Ledger) -> bool:
    """Whether a pod of an attempt up to `ledger.attempt` may be alive (invariant I1).

    The ledger knows how each rank it saw ended. This finds what it never saw: the pod that a
    former leader's late POST made.
    """
    over = {one.uid for one in ledger.ranks if one.ended is not None}
    return any(
        pod.attempt <= ledger.attempt
        and pod.uid not in over
        and not pod.terminal
        and not may_be_forced(scene.snapshot, ledger, pod)
        for pod in scene.present()
    )
