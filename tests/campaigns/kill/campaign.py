"""The kill campaign: hundreds of SIGKILLs over many jobs, each judged by an independent oracle."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from campaigns.campaign import Campaign, Figure, Findings, Json, at_least, exactly, total
from campaigns.kill.life import live
from campaigns.pods import PRELOADED
from kit.zygote import a_zygote

KILLS = 15
LIVES = 36


def run(seeds: Iterable[str]) -> Iterator[tuple[str, Json]]:
    """One life per seed."""
    with a_zygote(*PRELOADED) as zygote:
        for seed in seeds:
            with tempfile.TemporaryDirectory(prefix="kill-") as folder:
                account = live(zygote, Path(folder), seed=int(seed), kills=KILLS)
            result = account.to_json()
            sys.stdout.write(f"seed {seed}: {sum(account.kills.values())} kills, "
                             f"{len(account.wrong)} wrong\n")  # fmt: skip
            sys.stdout.flush()
            yield seed, result


def findings(results: Sequence[Json]) -> Findings:
    """Kills by victim and instant; what was resumed; what the jobs ended with."""
    kills, counts = total(results, "kills"), total(results, "counts")
    judged = counts["beginnings judged"]
    figures = [
        at_least("SIGKILLs", sum(kills.values()), "kills", 500),
        exactly("resumed the newest valid", _share(counts["resumed the newest"], judged), "%", 100),
        exactly("wrong state loaded", counts["wrong: wrong state"], "times", 0),
        exactly("needless fallback", counts["wrong: not the newest"], "times", 0),
        exactly("whole checkpoints quarantined", counts["wrong: quarantined"], "times", 0),
        exactly("ended bit-identical to uninterrupted",
                _share(counts["ended bit-identical"], len(results)), "%", 100),
        Figure("beginnings judged", judged, "attempts"),
        Figure("of them from a checkpoint", counts["from a checkpoint"], "attempts"),
        Figure("attempts", counts["attempts"], "attempts"),
        Figure("checkpoints committed", counts["checkpoints"], "checkpoints"),
        Figure("kills between receipt and manifest", counts["between receipt and manifest"],
               "kills"),
    ]  # fmt: skip
    wrong = [words for result in results for words in result["wrong"]]
    figures.append(exactly("broken promises of any kind", len(wrong), "", 0))
    instants = {name.removeprefix("at "): n for name, n in counts.items() if name[:3] == "at "}
    text = "\n\n".join([_table("killed", kills), _table("instant", instants)])
    return Findings(figures, text, wrong)


def _share(part: int, whole: int) -> float:
    return round(100 * part / whole, 3) if whole else 0.0


def _table(title: str, counts: dict[str, int]) -> str:
    rows = [f"| {name} | {n} |" for name, n in sorted(counts.items(), key=lambda one: -one[1])]
    return "\n".join([f"| {title} | kills |", "|---|---|", *rows])


CAMPAIGN = Campaign(
    name="kill",
    about="Trainer, sidecar, committer, whole pods and the S3 server get SIGKILL at random "
    "instants; a real versitygw, a real sidecar and a real trainer that uses the SDK, without "
    "Kubernetes: the campaign does what kubelet and operator would. What an attempt resumes is "
    "compared with what an oracle finds in the bucket's files by its own code, every byte of "
    "the loaded state with the state that belongs to its step, and the end with a run that "
    "nothing happened to.",
    units=[str(seed) for seed in range(1, LIVES + 1)],
    run=run,
    findings=findings,
)
