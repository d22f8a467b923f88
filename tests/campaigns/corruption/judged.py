"""One case from its damage to the verdict."""

from __future__ import annotations

import random
from typing import Any

from campaigns.corruption.cases import Damage
from campaigns.corruption.site import Case, Ending, Site, origin
from campaigns.corruption.verdict import BAD_NODE, Account, Expected
from campaigns.pods import WrongError

MOST_ATTEMPTS = 12


def damaged(site: Site, damage: Damage) -> Account:
    """Damage a lineage, resume from it, and compare."""
    account = Account()
    with site.case(damage.place, damage.recorded) as case:
        newest = next(iter(case.place.seen.ids()))
        known = newest if random.Random(damage.name).random() < 0.7 else None
        account.counts["files damaged"] += damage.bring_about(case.place)
        resumed_as_expected(case, account, known)
    return account


def resumed_as_expected(case: Case, account: Account, known: str | None, **options: Any) -> None:
    """Attempts on node after node, until one begins or the job stops; all as the oracle says.

    `known` is the newest commit in the job's status.
    """
    expected = Expected.of(case.place, known)
    endings: list[Ending] = []
    while len(endings) < MOST_ATTEMPTS:
        try:
            node = f"node-{len(endings) + 1}"
            endings.append(case.resume(node=node, newest=origin(known), **options))
        except WrongError as error:
            account.expect("every attempt begins or stops", str(error), kept=False)
            return
        if endings[-1].word != BAD_NODE:
            break
    account.judge(expected, endings, case.place)
