"""A sample of the kill campaign (`make campaign NAME=kill`): one job, a few kills."""

from __future__ import annotations

from pathlib import Path

import pytest
from campaigns.kill.campaign import findings
from campaigns.kill.life import live
from campaigns.pods import PRELOADED
from kit.zygote import a_zygote


@pytest.mark.parametrize("seed", [7])
def test_a_job_survives_its_kills_exactly(tmp_path: Path, seed: int) -> None:
    with a_zygote(*PRELOADED) as zygote:
        account = live(zygote, tmp_path, seed=seed, kills=12)
    assert account.wrong == []
    assert sum(account.kills.values()) == 12
    assert account.counts["ended bit-identical"] == 1
    assert account.counts["resumed the newest"] == account.counts["beginnings judged"] > 0
    held = {figure.figure: figure.holds for figure in findings([account.to_json()]).figures}
    assert [name for name, holds in held.items() if holds is False] == ["SIGKILLs"]
