"""A sample of the corruption campaign (`make campaign NAME=corruption`): every so many cases."""

from __future__ import annotations

from pathlib import Path

import pytest
from campaigns.corruption import baselines
from campaigns.corruption.campaign import cases, findings, judge
from campaigns.corruption.site import a_site
from kit.zygote import a_zygote

EVERY = 19
SAMPLE = [name for name in cases() if "large" not in name][::EVERY]


def test_the_newest_that_is_whole_is_resumed_or_the_job_stops(tmp_path: Path) -> None:
    with a_site(tmp_path) as site:
        accounts = [{"unit": unit, **judge(site, unit).to_json()} for unit in SAMPLE]
    assert [words for account in accounts for words in account["wrong"]] == []
    held = {one.figure: one.holds for one in findings(accounts).figures}
    assert [name for name, holds in held.items() if holds is False] == ["cases of corruption"]


def test_what_exists_need_not_be_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison itself: a framework that goes by existence, judged by what it then holds."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with a_zygote(*baselines.preloaded("DCP")) as zygote:
        found = baselines.compare(
            zygote, tmp_path / "dcp", "DCP", seeds=1, kinds=("grow", "shuffle", "delete")
        )["outcomes"]
    assert found["grow"] == {baselines.RIGHT: 2}
    assert found["shuffle"][baselines.WRONG] == 1
    assert found["delete"] == {baselines.CRASHED: 1, baselines.OLDER: 1}
