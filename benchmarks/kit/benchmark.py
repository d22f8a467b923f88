"""What every benchmark is: a run that measures, and rows that say what was measured, and how.

A limit is always a ratio of two things measured beside each other: the machine is nobody's.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median

from kit.figures import Figure, at_least, at_most, spoken

from benchmarks.kit.quiet import Gate


@dataclass(frozen=True, slots=True)
class Row:
    """A figure, and in a sentence how it was measured."""

    figure: Figure
    how: str


@dataclass(frozen=True, slots=True)
class Section:
    """What belongs together in the report."""

    title: str
    rows: Sequence[Row]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a run is given: where it may write, how much is asked of it, and its seed."""

    root: Path
    """The checkout."""
    disk: Path
    """An empty folder on disk, removed afterwards."""
    memory: Path
    """The same in memory."""
    quick: bool
    """Small sizes, few repetitions: to see that it works, not how fast it is."""
    seed: int
    gate: Gate


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark: each of its parts yields a section as soon as that is measured."""

    name: str
    about: str
    parts: Mapping[str, Callable[[Circumstances], Iterator[Section]]]
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why a figure misses its limit, as far as is known; told where it does."""


@dataclass(slots=True)
class Values:
    """What was measured in each round, by what was measured."""

    of: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """One more round's value."""
        self.of.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        """The middle one."""
        return median(self.of[name])

    def ratio(self, name: str, other: str) -> float:
        """The median of the rounds' own ratios: what slows a round slows both."""
        return median(a / b for a, b in zip(self.of[name], self.of[other], strict=True))

    def spread(self, name: str, unit: str = "s") -> str:
        """The median with the least and the greatest."""
        values = self.of[name]
        return f"{median(values):.3g} {unit} ({min(values):.3g}-{max(values):.3g})"


def told(name: str, value: float, unit: str, how: str) -> Row:
    """A row without a limit."""
    return Row(Figure(name, rounded(value), unit), how)


def least(name: str, value: float, limit: float, how: str, *, unit: str = "x") -> Row:
    """A row with a lower limit."""
    return Row(_shown(at_least(name, value, unit, limit)), how)


def most(name: str, value: float, limit: float, how: str, *, unit: str = "x") -> Row:
    """A row with an upper limit."""
    return Row(_shown(at_most(name, value, unit, limit)), how)


def _shown(figure: Figure) -> Figure:
    """Rounded after it was held to its limit."""
    return replace(figure, value=rounded(figure.value))


def rounded(value: float) -> float:
    """Three digits: more would be noise."""
    return float(f"{value:.3g}")


def write_report(
    benchmark: Benchmark,
    sections: Sequence[Section],
    folder: Path,
    *,
    commit: str,
    circumstances: Circumstances,
) -> list[Figure]:
    """report.json: the figures; report.md: also how, and under which circumstances."""
    figures = [row.figure for section in sections for row in section.rows]
    folder.mkdir(parents=True, exist_ok=True)
    listed = json.dumps([asdict(figure) for figure in figures], indent=1)
    (folder / "report.json").write_text(listed + "\n")
    (folder / "report.md").write_text(_markdown(benchmark, sections, commit, circumstances))
    return figures


def say(section: Section) -> None:
    """The section's figures, for who waits at a terminal."""
    for line in spoken(row.figure for row in section.rows):
        print(line, flush=True)


def _markdown(
    benchmark: Benchmark, sections: Sequence[Section], commit: str, circumstances: Circumstances
) -> str:
    size = " Quick run: small sizes, few repetitions; says nothing of speed." * circumstances.quick
    lines = [
        f"# Benchmark: {benchmark.name}",
        "",
        benchmark.about,
        "",
        f"Commit {commit}, seed {circumstances.seed}, {_machine()}.{size}",
        circumstances.gate.words(),
        f"Again: `make bench NAME={benchmark.name}`.",
    ]
    for section in sections:
        lines += ["", f"## {section.title}", "", "| figure | value | limit | holds | how |"]
        lines += ["|---|---|---|---|---|", *map(_line, section.rows)]
        lines += ["", section.text] if section.text else []
    return "\n".join([*lines, *_missed(benchmark, sections)]) + "\n"


def _missed(benchmark: Benchmark, sections: Sequence[Section]) -> list[str]:
    missed = [
        row.figure.figure
        for section in sections
        for row in section.rows
        if row.figure.holds is False
    ]
    reasons = [f"- **{one}**: {benchmark.reasons.get(one, 'not known')}" for one in missed]
    return ["", "## What misses its limit, and why", "", *reasons] if reasons else []


def _line(row: Row) -> str:
    one = row.figure
    holds = {None: "", True: "yes", False: "**no**"}[one.holds]
    return f"| {one.figure} | {one.value:g} {one.unit} | {one.limit or ''} | {holds} | {row.how} |"


def _machine() -> str:
    processors = Path("/proc/cpuinfo").read_text()
    models = {
        line.partition(":")[2].strip() for line in processors.splitlines() if "model name" in line
    }
    count = processors.count("processor\t")
    return (
        f"{count} processors ({', '.join(sorted(models)) or platform.machine()}), "
        f"Linux {platform.release()}, Python {platform.python_version()}"
    )
