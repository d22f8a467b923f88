"""Which writes cannot wait: transitions at once, figures when the write-rate budget allows.

A figure alone is not worth a write each time it moves, so what moves by itself is persisted at most
every half minute; live figures come from the operator's own API.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from spot_operator.domain.observed.snapshot import STATUS_WRITE, Snapshot
from spot_operator.domain.state.ledger import Ledger, Progress, TimeLedger

FIGURES_EVERY: Final = timedelta(seconds=30)


def is_transition(old: Ledger, new: Ledger) -> bool:
    """Whether anything but figures and wording differs."""
    first_commit = (old.checkpoint.newest is None) != (new.checkpoint.newest is None)
    return first_commit or _essence(old) != _essence(new)


def figures_due(old: Ledger, new: Ledger) -> bool:
    """Whether figures have moved far enough since they were last persisted."""
    if old == new:
        return False
    before, now = old.progress.at, new.progress.at
    # Another leader's clock may have dated the former one in the future.
    if before is None or now is None or abs(now - before) >= FIGURES_EVERY:
        return True
    return old.checkpoint != new.checkpoint or old.conditions != new.conditions


def is_refused(snapshot: Snapshot) -> bool:
    """Whether writes of the job are refused for long, and its status can be written."""
    told = [one.what for one in (snapshot.refusal, *snapshot.refusals) if one is not None]
    return bool(told) and STATUS_WRITE not in told


def _essence(ledger: Ledger) -> Ledger:
    return replace(
        ledger,
        progress=Progress(),
        time=TimeLedger(),
        checkpoint=replace(
            ledger.checkpoint,
            newest=None,
            commits=0,
            attempt_commits=0,
            best_step=-1,
            interval=None,
        ),
        attempts=tuple(replace(one, step=None) for one in ledger.attempts),
        conditions=tuple(replace(one, message="") for one in ledger.conditions),
    )
