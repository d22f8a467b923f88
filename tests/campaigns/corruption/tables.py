"""The report's tables."""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping, Sequence

from campaigns.campaign import Json, total
from campaigns.corruption.baselines import CRASHED, OLDER, OUTCOMES, RIGHT, WRONG
from campaigns.corruption.cases import BYTES, NEWEST

ABOUT_OTHERS = (
    "The same state of the same steps, saved by each framework; a file of the newest checkpoint "
    "that holds weights, optimizer or step is damaged; the framework's own rule takes the newest "
    "(DCP: the newest folder with `.metadata`; Hugging Face: `get_last_checkpoint`; Lightning: "
    '`ckpt_path="last"`) and its own loader loads it. *Crashed* leaves a job that crashes again at '
    "every restart. *Newest* is right where the damage does no harm, as behind the end of a file. "
    "A file in another's place (`swap`) may be an older state in itself."
)


def by_hit(results: Sequence[Json]) -> str:
    """What was damaged."""
    return _table("damaged, or what happened", results, lambda parts: parts[1])


def by_kind(results: Sequence[Json]) -> str:
    """How: only where bytes were damaged."""
    bytes_ = [one for one in results if len(one["unit"].split("/")) == 5]
    return _table("how", bytes_, lambda parts: parts[2])


def _table(title: str, results: Sequence[Json], group: Callable[[list[str]], str]) -> str:
    groups: dict[str, list[Json]] = {}
    for one in results:
        groups.setdefault(group(one["unit"].split("/")), []).append(one)
    rows = [f"| {title} | cases | resumed the newest valid | had to stop, and did | broken |",
            "|---|---|---|---|---|"]  # fmt: skip
    for name, members in groups.items():
        counts = total(members, "counts")
        rows.append(
            f"| {name} | {len(members)} | {_kept(counts, 'the newest valid one is resumed')} "
            f"| {_kept(counts, 'it stops with the right reason')} "
            f"| {sum(len(one['wrong']) for one in members)} |"
        )
    return "\n".join(rows)


def _kept(counts: Mapping[str, int], what: str) -> str:
    promised, broken = counts.get(what, 0), counts.get(f"broken: {what}", 0)
    return f"{promised - broken} of {promised}" if promised else ""


def frameworks(ours: Sequence[Json], others: Mapping[str, Json]) -> str:
    """The same damage where checkpoints go by what exists: what the loader then did."""
    lines = [
        "## Beside it: selection by existence",
        "",
        ABOUT_OTHERS,
        "",
        f"| | cases | {' | '.join(OUTCOMES)} |",
        "|---|---|" + "---|" * len(OUTCOMES),
    ]
    for name, found in others.items():
        sums: collections.Counter[str] = collections.Counter()
        for counts in found["outcomes"].values():
            sums.update(counts)
        versions = ", ".join(f"{package} {number}" for package, number in found["versions"].items())
        cells = " | ".join(str(sums[outcome]) for outcome in OUTCOMES)
        lines.append(f"| {name} ({versions}) | {sums.total()} | {cells} |")
    lines.append(_our_row(ours))
    lines += ["", "By kind of damage, wrong state and crashes of all cases:", ""]
    lines += [_kinds(others), "", _errors(others)]
    return "\n".join(lines)


def _our_row(ours: Sequence[Json]) -> str:
    """Data of the newest checkpoint alone, in the same kinds."""
    same = [
        one["counts"]
        for one in ours
        if (parts := one["unit"].split("/"))[1] in ("data", "large data")
        and parts[2] in BYTES
        and parts[3] == NEWEST
    ]
    older = sum(1 for one in same if not one.get("broken: the newest valid one is resumed"))
    wrong = sum(one.get("broken: the state is that of its step", 0) for one in same)
    other = len(same) - older - wrong
    cells = {RIGHT: 0, OLDER: older, WRONG: wrong, CRASHED: other}
    row = " | ".join(str(cells.get(outcome, 0)) for outcome in OUTCOMES)
    return f"| this project | {len(same)} | {row} |"


def _kinds(others: Mapping[str, Json]) -> str:
    kinds = list(dict.fromkeys(kind for one in others.values() for kind in one["outcomes"]))
    rows = [f"| | {' | '.join(others)} |", "|---|" + "---|" * len(others)]
    for kind in kinds:
        cells = []
        for one in others.values():
            counts = one["outcomes"].get(kind, {})
            wrong, crashed = counts.get(WRONG, 0), counts.get(CRASHED, 0)
            cells.append(f"{wrong} wrong, {crashed} crashed of {sum(counts.values())}")
        rows.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _errors(others: Mapping[str, Json]) -> str:
    said = (
        f"{name}: " + ", ".join(f"{error} ({n})" for error, n in one["errors"].items())
        for name, one in others.items()
    )
    return "What they crashed with: " + "; ".join(said) + "."
