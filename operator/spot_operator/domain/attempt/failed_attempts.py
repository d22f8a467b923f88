"""The failed attempts of which something stays for a person to look at: lines in status, pods."""

from dataclasses import replace
from typing import Final

from spot_operator.domain.state.ledger import Charge, Ledger

LOOKED_AT: Final = 3
"""The newest: an earlier one rarely says more, and a status is small."""


def newest_failed(ledger: Ledger) -> frozenset[int]:
    """The numbers of the newest attempts that were charged as failures."""
    failed = [one.number for one in ledger.attempts if one.charged is Charge.FAILURE]
    return frozenset(failed[-LOOKED_AT:])


def forget_old_lines(ledger: Ledger) -> Ledger:
    """`ledger` with the last lines of those only, and of the attempt that ended just now."""
    kept = newest_failed(ledger) | {ledger.attempt}
    attempts = tuple(
        one if one.number in kept or not one.last_lines else replace(one, last_lines="")
        for one in ledger.attempts
    )
    return replace(ledger, attempts=attempts)
