"""A sample of the outage campaign (`make campaign NAME=outage`): seconds instead of minutes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from campaigns.outage.campaign import findings
from campaigns.outage.life import KINDS, Account, live

SECONDS = 8.0
SAMPLED = [kind for kind in KINDS if kind != "silent"]
"""That a store is silent is known only when time has run out for its answers."""


@pytest.mark.timeout(240)
def test_training_goes_on_and_the_newest_state_catches_up(tmp_path: Path) -> None:
    def one(kind: str) -> Account:
        folder = tmp_path / kind
        folder.mkdir()
        return live(folder, kind, seconds=SECONDS)

    with ThreadPoolExecutor(len(SAMPLED)) as pool:
        accounts = list(pool.map(one, SAMPLED))
    assert [words for account in accounts for words in account.wrong] == []
    held = {one.figure: one.holds for one in findings([one.to_json() for one in accounts]).figures}
    assert [name for name, holds in held.items() if holds is False] == ["shortest outage"]
