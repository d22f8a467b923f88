"""What every campaign is: units that are run one by one, and figures that are drawn from them all.

A unit is named by its seed or case; its result is plain JSON and goes into a state file at once, so
that a campaign goes on where it was stopped.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kit.figures import Figure, at_least, at_most, exactly, table

__all__ = [
    "Campaign", "Figure", "Findings", "at_least", "at_most", "exactly", "run_chunk", "total",
    "write_report",
]  # fmt: skip

Json = dict[str, Any]
CHUNK_MINUTES = 80.0
"""No unit is begun after so long; the next call continues."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the units showed together."""

    figures: Sequence[Figure]
    text: str
    """Markdown: tables and remarks below the figures."""
    wrong: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign: `run` yields each unit's result as it is done."""

    name: str
    about: str
    units: Sequence[str]
    run: Callable[[Iterable[str]], Iterable[tuple[str, Json]]]
    findings: Callable[[Sequence[Json]], Findings]


def total(results: Sequence[Json], field: str) -> Counter[str]:
    """The sum of a field of counts over all results."""
    counts: Counter[str] = Counter()
    for result in results:
        counts.update(result[field])
    return counts


def run_chunk(
    campaign: Campaign, state: Path, *, commit: str, fresh: bool, minutes: float = CHUNK_MINUTES
) -> list[Json]:
    """Runs what is not done yet, for at most a chunk; returns every result so far.

    Ctrl-C ends it early: the unit under way is lost, and nothing else.
    """
    done = {} if fresh else _read(state)
    left = [unit for unit in campaign.units if unit not in done]
    end = time.monotonic() + 60 * minutes
    state.parent.mkdir(parents=True, exist_ok=True)

    def until_late() -> Iterable[str]:
        for unit in left:
            if time.monotonic() > end:
                return
            yield unit

    with contextlib.suppress(KeyboardInterrupt):
        for unit, result in campaign.run(until_late()):
            done[unit] = {"unit": unit, "commit": commit, **result}
            draft = state.with_suffix(".tmp")
            draft.write_text(json.dumps(done))
            draft.replace(state)
    return [done[unit] for unit in campaign.units if unit in done]


def write_report(campaign: Campaign, results: Sequence[Json], folder: Path) -> Findings:
    """report.json and report.md: commits, seeds, figures, and what the campaign tells of them."""
    found = campaign.findings(results)
    commits = sorted({result["commit"] for result in results})
    units = [result["unit"] for result in results]
    folder.mkdir(parents=True, exist_ok=True)
    report = {
        "campaign": campaign.name,
        "commits": commits,
        "seeds": units,
        "complete": len(results) == len(campaign.units),
        "figures": [asdict(figure) for figure in found.figures],
        "wrong": list(found.wrong),
    }
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    (folder / "report.md").write_text(_markdown(campaign, found, commits, units))
    return found


def _markdown(
    campaign: Campaign, found: Findings, commits: Sequence[str], units: Sequence[str]
) -> str:
    part = "" if len(units) == len(campaign.units) else f" of {len(campaign.units)}"
    lines = [
        f"# Campaign: {campaign.name}",
        "",
        campaign.about,
        "",
        f"Commit {', '.join(commits)}. Units: {len(units)}{part} ({units[0]} … {units[-1]}).",
        f"Again: `make campaign NAME={campaign.name}`.",
        "",
        *table(found.figures),
    ]
    lines += ["", found.text]
    if found.wrong:
        lines += ["", "## Broken promises", "", *(f"- {words}" for words in found.wrong)]
    return "\n".join(lines).rstrip() + "\n"


def _read(state: Path) -> dict[str, Json]:
    return dict(json.loads(state.read_text())) if state.exists() else {}
