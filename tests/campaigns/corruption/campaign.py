"""The corruption campaign: everything in a lineage damaged in every way, judged by an oracle."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from campaigns.campaign import Campaign, Figure, Findings, Json, at_least, exactly, total
from campaigns.corruption import baselines
from campaigns.corruption.cases import Damage, table
from campaigns.corruption.judged import damaged
from campaigns.corruption.scenarios import PLAYS
from campaigns.corruption.site import Site, a_site
from campaigns.corruption.tables import by_hit, by_kind, frameworks
from campaigns.corruption.verdict import Account
from campaigns.pods import WrongError
from kit.zygote import a_zygote

BASELINE = "existence-only/"
BASELINE_SEEDS = 4


def cases() -> Iterator[str]:
    """The name of each case: damage to bytes, then scenarios."""
    yield from (damage.name for damage in table())
    for name, play in PLAYS.items():
        for seed in range(1, play.seeds + 1):
            for variant in play.variants:
                yield from (f"{place}/{name}/{variant}/{seed}" for place in play.places)


def judge(site: Site, unit: str) -> Account:
    """One case, from its damage to the verdict."""
    place, hit, kind, *_ = unit.split("/")
    if hit not in PLAYS:
        return damaged(site, Damage.named(unit))
    account = Account()
    try:
        with site.case(place, PLAYS[hit].lineage(kind)) as case:
            PLAYS[hit].scenario(case, account, kind, random.Random(unit))
    except WrongError as error:
        account.expect("the scenario can be played", str(error), kept=False)
    return account


def run(units: Iterable[str]) -> Iterator[tuple[str, Json]]:
    """Case after case in one place; then the frameworks, each in another."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="corruption-")))
        site: Site | None = None
        for unit in units:
            if unit.startswith(BASELINE):
                yield unit, _baseline(folder / "baseline", unit.removeprefix(BASELINE))
                continue
            site = site or stack.enter_context(a_site(folder))
            account = judge(site, unit)
            sys.stdout.write(f"{unit}: {len(account.wrong)} wrong\n")
            sys.stdout.flush()
            yield unit, account.to_json()


def _baseline(folder: Path, name: str) -> Json:
    os.environ["OMP_NUM_THREADS"] = "1"  # threads do not survive the fork
    with a_zygote(*baselines.preloaded(name)) as zygote:
        found = baselines.compare(zygote, folder / name, name, seeds=BASELINE_SEEDS)
    return {"counts": {}, "wrong": [], **found}


def findings(results: Sequence[Json]) -> Findings:
    """What was resumed, by what was damaged and how; beside it what others do."""
    ours = [one for one in results if not one["unit"].startswith(BASELINE)]
    counts = total(ours, "counts")
    wrong = [f"{one['unit']}: {words}" for one in ours for words in one["wrong"]]

    def kept(what: str) -> float:
        promised = counts[what]
        return round(100 * (1 - counts[f"broken: {what}"] / promised), 3) if promised else 0.0

    def broken(what: str) -> int:
        return counts[f"broken: {what}"]

    figures = [
        at_least("cases of corruption", len(ours), "cases", 400),
        exactly("resumed from the newest valid", kept("the newest valid one is resumed"), "%", 100),
        exactly("wrong state loaded", broken("the state is that of its step"), "times", 0),
        exactly("damaged checkpoints taken", broken("nothing damaged is taken"), "times", 0),
        exactly("needless fallback", broken("the newest valid one is resumed"), "times", 0),
        exactly("whole checkpoints quarantined", broken("nothing whole is quarantined"), "", 0),
        exactly("stopped with the right reason", kept("it stops with the right reason"), "%", 100),
        Figure("cases that had a valid one", counts["the newest valid one is resumed"], "cases"),
        Figure("cases that had to stop", counts["it stops with the right reason"], "cases"),
        Figure("files damaged", counts["files damaged"], "files"),
        Figure("attempts", counts["attempts"], "attempts"),
        exactly("broken promises of any kind", len(wrong), "", 0),
    ]  # fmt: skip
    others = {
        one["unit"].removeprefix(BASELINE): one
        for one in results
        if one["unit"].startswith(BASELINE)
    }
    text = "\n\n".join([by_hit(ours), by_kind(ours), frameworks(ours, others)])
    return Findings(figures, text, wrong)


CAMPAIGN = Campaign(
    name="corruption",
    about="What real sidecars and trainers wrote, to a real versitygw and to a volume, is "
    "damaged: every kind of file, in every way, of the newest checkpoint, the two newest, an older "
    "one, or all; on the disk below the server (its checksums stay as they were), through its API "
    "(its checksums match the damage), and in the volume. Zombies, rivals, stale claims, a list "
    "that lags, a proxy that spoils objects and a node with bad memory follow. What the next "
    "attempts do is compared with what an oracle finds in the files by its own code, and the "
    "loaded state, array by array and the randomness to come, byte by byte with what belongs to "
    "its step.",
    units=[*cases(), *(f"{BASELINE}{name}" for name in baselines.FRAMEWORKS)],
    run=run,
    findings=findings,
)
