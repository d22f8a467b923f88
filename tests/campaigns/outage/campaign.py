"""Ten minutes without a store, in every way a store can be gone, at the same time."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from campaigns.campaign import Campaign, Figure, Findings, Json, at_least, at_most, exactly
from campaigns.outage.life import KINDS, Account, live

OUT_SECONDS = 600.0


def run(kinds: Iterable[str]) -> Iterator[tuple[str, Json]]:
    """All at once: they wait most of the time."""
    with ThreadPoolExecutor(len(KINDS)) as pool:
        lives = {pool.submit(_live, kind): kind for kind in kinds}
        for done in as_completed(lives):
            account = done.result()
            sys.stdout.write(f"{account.kind}: {len(account.wrong)} wrong\n")
            sys.stdout.flush()
            yield account.kind, account.to_json()


def _live(kind: str) -> Account:
    with tempfile.TemporaryDirectory(prefix="outage-") as folder:
        return live(Path(folder), kind, seconds=OUT_SECONDS)


def findings(results: Sequence[Json]) -> Findings:
    """How long each store was out, and what that did to the job."""
    wrong = [words for result in results for words in result["wrong"]]
    resumed = sum(result["resumed_at"] == result["newest"] > 0 for result in results)
    figures = [
        at_least("shortest outage", min(one["out_seconds"] for one in results), "s", OUT_SECONDS),
        at_most("a trainer's longest stand-still",
                max(one["longest_stand_still"] for one in results), "s", 5),
        at_least("pace of training during an outage, of the pace before",
                 min(one["share_of_calm_pace"] for one in results), "", 0.5),
        exactly("outages that the operator was told of",
                sum(one["told_after"] >= 0 for one in results), "", len(results)),
        Figure("longest wait until then", max(one["told_after"] for one in results), "s"),
        at_most("longest wait for the newest state's commit afterwards",
                max(_or_never(one["caught_up_after"]) for one in results), "s", 60),
        exactly("checkpoints quarantined", sum(one["quarantined"] for one in results), "", 0),
        exactly("next attempts that resumed the newest", resumed, "", len(results)),
        exactly("broken promises of any kind", len(wrong), "", 0),
    ]  # fmt: skip
    return Findings(figures, _table(results), wrong)


def _or_never(seconds: float) -> float:
    return seconds if seconds >= 0 else float("inf")


def _table(results: Sequence[Json]) -> str:
    rows = [
        f"| {one['kind']} | {one['steps_while_out']} | {one['told_after']:.1f} s | "
        f"{one['caught_up_after']:.1f} s | {one['newest']} | {one['resumed_at']} |"
        for one in results
    ]
    titles = "| the store | steps meanwhile | told after | caught up after | newest | resumed |"
    return "\n".join([titles, "|---|---|---|---|---|---|", *rows])


CAMPAIGN = Campaign(
    name="outage",
    about="Ten minutes in which the store does not answer, resets connections, answers 503, or "
    "refuses the credentials, while a real trainer trains beside a real sidecar and a real "
    "versitygw, without Kubernetes. Training must go on, nothing may be quarantined, the operator "
    "must be told what is wrong, and once the store is back the newest state must be committed "
    "and be what the next attempt resumes.",
    units=list(KINDS),
    run=run,
    findings=findings,
)
