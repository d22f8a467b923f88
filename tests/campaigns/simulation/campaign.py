"""The simulation campaign: 2,000 seeds of mishaps around a job, on the operator's real code."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from campaigns.campaign import Campaign, Figure, Findings, Json, at_least, exactly
from kit.simcluster.trials import ride

SEEDS = 2_000
EACH = 25
"""Seeds of one unit."""
PROCESSES = 2


def run(units: Iterable[str]) -> Iterator[tuple[str, Json]]:
    """One unit is a range of seeds; as many at once as there are processes."""
    with ProcessPoolExecutor(PROCESSES) as pool:
        waiting = list(units)
        while waiting:
            now, waiting = waiting[:PROCESSES], waiting[PROCESSES:]
            for unit, result in zip(now, pool.map(unit_of, now), strict=True):
                sys.stdout.write(f"seeds {unit}: {len(result['wrong'])} wrong\n")
                sys.stdout.flush()
                yield unit, result


def unit_of(unit: str) -> Json:
    """Every seed of the range, `first-last`."""
    first, last = map(int, unit.split("-"))
    mishaps: Counter[str] = Counter()
    endings: Counter[str] = Counter()
    wrong: list[str] = []
    for seed in range(first, last + 1):
        trial = ride(seed)
        mishaps.update(trial.kinds)
        endings.update(trial.endings)
        if trial.broken:
            wrong.append(f"seed {seed}: {trial.broken.splitlines()[0]}")
    return {
        "seeds": last - first + 1,
        "mishaps": mishaps,
        "endings": endings,
        "wrong": wrong,
    }


def findings(results: Sequence[Json]) -> Findings:
    """How often what went wrong, how attempts ended, and what was broken."""
    wrong = [words for result in results for words in result["wrong"]]
    mishaps, endings = _sum(results, "mishaps"), _sum(results, "endings")
    figures = [
        at_least("seeds", sum(one["seeds"] for one in results), "", SEEDS),
        exactly("seeds with a broken promise", len(wrong), "", 0),
        Figure("mishaps", sum(mishaps.values()), ""),
        Figure("attempts", sum(endings.values()), ""),
    ]
    text = "\n\n".join([_table("what went wrong", mishaps), _table("ending", endings)])
    return Findings(figures, text, wrong)


def _sum(results: Sequence[Json], field: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for result in results:
        counts.update(result[field])
    return counts


def _table(title: str, counts: Counter[str]) -> str:
    rows = [f"| {name} | {n} |" for name, n in counts.most_common()]
    return "\n".join([f"| {title} | times |", "|---|---|", *rows])


CAMPAIGN = Campaign(
    name="simulation",
    about="The operator's real code on an API server in the process, with nodes, kubelets, "
    "trainers and a store that follow the contracts of the real ones, on one clock and one seed. "
    "Around one job up to eight mishaps begin at random instants: lost, frozen, replaced and "
    "rejecting nodes, clocks that are wrong by up to a day, pods whose state a kubelet lost or "
    "whose disruption has a reason that nobody knows, refused and unheard writes of every status, "
    "policies that are away or unreadable, crashes and pauses of the operator. Then nothing goes "
    "wrong any more, and the job must complete: exactly, with one attempt at a time, every second "
    "accounted for, each ending charged once, and no failure charged.",
    units=[f"{first}-{first + EACH - 1}" for first in range(1, SEEDS, EACH)],
    run=run,
    findings=findings,
)
