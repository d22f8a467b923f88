"""Whether two step logs tell of the same training. Pure.

A step that was done again has several lines; all of them have to tell the same metrics.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spot_training import steplog
from spot_training.steplog import Line

Told = Mapping[int, Sequence[Line]]


@dataclass(frozen=True, slots=True)
class Steps:
    """`compared` steps are in both logs, `again` were done more than once, in either."""

    compared: int
    again: int
    problem: str = ""


def by_step(lines: Sequence[Line]) -> dict[int, list[Line]]:
    """Every execution of every step."""
    told: dict[int, list[Line]] = {}
    for line in lines:
        if line.kind == steplog.STEP:
            told.setdefault(line.step, []).append(line)
    return told


def compare(a: Told, b: Told) -> Steps:
    """The first step that differs, if any does."""
    common = sorted(a.keys() & b.keys())
    again = sum(len(lines) > 1 for told in (a, b) for lines in told.values())
    problem = next((found for step in common if (found := _problem(step, a, b))), "")
    return Steps(len(common), again, problem)


def _problem(step: int, a: Told, b: Told) -> str:
    first = a[step][0]
    named = [*(("A", line) for line in a[step]), *(("B", line) for line in b[step])]
    for name, line in named:
        if _content(line) != _content(first):
            return (
                f"step {step} is the first that differs: {_spelled(first)} in attempt "
                f"{first.attempt} of A | {_spelled(line)} in attempt {line.attempt} of {name}"
            )
    return ""


def _content(line: Line) -> str:
    """As text, so that NaN equals NaN."""
    return json.dumps([line.samples, line.metrics], sort_keys=True)


def _spelled(line: Line) -> str:
    metrics = ", ".join(f"{name} {value!r}" for name, value in sorted(line.metrics.items()))
    return f"{metrics or 'no metrics'} ({line.samples} samples)"
