"""Durable progress: a checkpoint of a step that none was committed of before.

It gives failures back, calms the back-off and resets the breaker. A checkpoint of a step that had
been reached already does not count, or a trainer that always fails at one place would never stop.
"""

from dataclasses import replace

from spot_operator.domain.ledger import CommitRef, Committed, Ledger
from spot_operator.domain.scene import Scene


def note_checkpoint(scene: Scene, ledger: Ledger, seen: Committed) -> Ledger:
    """`ledger` knowing of a committed checkpoint, of whatever attempt."""
    known = ledger.checkpoint
    newer = known.newest is None or _order(seen.ref) > _order(known.newest.ref)
    # Whether it gives failures back is the policy's to say: it counts once that is known.
    further = seen.ref.step > known.best_step and not scene.in_doubt
    checkpoint = replace(
        known,
        newest=seen if newer else known.newest,
        best_step=seen.ref.step if further else known.best_step,
    )
    ledger = replace(ledger, checkpoint=checkpoint)
    return _refunded(scene, ledger) if further else ledger


def count_commits(ledger: Ledger, of_attempt: int) -> Ledger:
    """`ledger` with the current attempt's commits counted in the job's."""
    known = ledger.checkpoint
    new = max(0, of_attempt - known.attempt_commits)
    checkpoint = replace(
        known, commits=known.commits + new, attempt_commits=known.attempt_commits + new
    )
    return replace(ledger, checkpoint=checkpoint)


def _order(ref: CommitRef) -> tuple[int, int]:
    return ref.attempt, ref.step


def _refunded(scene: Scene, ledger: Ledger) -> Ledger:
    budgets = replace(ledger.budgets, without_progress=0, progress_limit=None)
    if scene.policy.failures.refund_after_progress:
        budgets = replace(budgets, failures=0)
    return replace(ledger, budgets=budgets, checkpoint=replace(ledger.checkpoint, suspects=()))
