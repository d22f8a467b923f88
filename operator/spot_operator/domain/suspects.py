"""Checkpoints that training twice failed after resuming from: the one before is tried next.

A checkpoint can verify, byte for byte, and still hold a state that cannot go on (NaN everywhere).
At most two in turn; then the fault is elsewhere, and the job stops.
"""

from dataclasses import replace
from typing import Final

from spot_operator.api.names import Ending
from spot_operator.api.status import MAX_SUSPECTS
from spot_operator.domain.ledger import AttemptRecord, Charge, Ledger

BLAMED: Final = frozenset({Ending.TRAINER_FAILED, Ending.OUT_OF_MEMORY, Ending.STALLED})


def suspect(ledger: Ledger) -> str | None:
    """The checkpoint from which the two newest attempts both failed without committing a newer."""
    if len(ledger.attempts) < 2:
        return None
    before, last = ledger.attempts[-2:]
    source = last.resumed_from
    newest = ledger.checkpoint.newest
    if source is None or before.resumed_from != source or not (_blamed(before) and _blamed(last)):
        return None
    # An older attempt's newer commit would have been this one's source.
    committed = newest is not None and newest.ref.attempt == last.number
    return None if committed else source.id


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


def _blamed(record: AttemptRecord) -> bool:
    return record.charged is Charge.FAILURE and record.ending in BLAMED
