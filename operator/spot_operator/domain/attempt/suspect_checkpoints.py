"""Checkpoints that training twice failed after resuming from: the one before is tried next.

A checkpoint can verify, byte for byte, and still hold a state that cannot go on (NaN everywhere).
At most two in turn; then the fault is elsewhere, and the job stops.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from spot_operator.api.names import Ending
from spot_operator.api.status import MAX_SUSPECTS
from spot_operator.domain.state.ledger import AttemptRecord, Charge, CommitRef, Ledger

FAILURES: Final = 2
BLAMED: Final = frozenset({Ending.TRAINER_FAILED, Ending.OUT_OF_MEMORY, Ending.STALLED})


def suspect(ledger: Ledger) -> str | None:
    """The checkpoint from which the newest attempt failed, as one before, without a newer commit.

    Interruptions between the two excuse nothing: on spot capacity there is always one.
    """
    last = ledger.attempts[-1] if ledger.attempts else None
    if last is None or last.resumed_from is None or not _blamed(last):
        return None
    newest = ledger.checkpoint.newest
    # An older attempt's newer commit would have been this one's source.
    if newest is not None and newest.ref.attempt == last.number:
        return None
    failures = [one for one in _resumed_from(ledger, last.resumed_from) if _blamed(one)]
    return last.resumed_from.id if len(failures) >= FAILURES else None


def exhausted(ledger: Ledger, found: str) -> bool:
    """Whether `found` would be one suspect too many."""
    known = ledger.checkpoint.suspects
    return found not in known and len(known) >= MAX_SUSPECTS


def mark(ledger: Ledger, found: str) -> Ledger:
    """`ledger` with `found` among the suspects."""
    known = ledger.checkpoint.suspects
    if found in known:
        return ledger
    return replace(ledger, checkpoint=replace(ledger.checkpoint, suspects=(*known, found)))


def _resumed_from(ledger: Ledger, source: CommitRef) -> Iterator[AttemptRecord]:
    """The newest attempts that resumed from `source`; some that never began may be among them."""
    for record in reversed(ledger.attempts):
        if record.resumed_from == source:
            yield record
        elif record.resumed_from is not None:
            return


def _blamed(record: AttemptRecord) -> bool:
    return record.charged is Charge.FAILURE and record.ending in BLAMED
