"""Measurements wait for quiet but not for ever, take turns, and are compared within their round."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.kit import quiet
from benchmarks.kit.benchmark import (
    Benchmark,
    Circumstances,
    Section,
    Values,
    least,
    told,
    write_report,
)
from benchmarks.kit.quiet import Gate
from benchmarks.kit.rounds import interleaved

PROCESSORS = 2


def a_machine(*shares: float) -> tuple[Callable[[], tuple[float, float]], Callable[[float], None]]:
    """Busy by these shares, one for each second slept, the last one for ever."""
    busy, in_all = [0.0], [0.0]
    left: Iterator[float] = iter(shares)
    share = [next(left)]

    def sleep(seconds: float) -> None:
        busy[0] += PROCESSORS * seconds * share[0]
        in_all[0] += PROCESSORS * seconds
        share[0] = next(left, share[0])

    return (lambda: (busy[0], in_all[0])), sleep


def a_gate(*shares: float, in_all: float = 60.0) -> Gate:
    look, sleep = a_machine(*shares)
    return Gate(in_all=in_all, look=look, sleep=sleep)


def test_a_measurement_waits_until_the_machine_is_quiet() -> None:
    gate = a_gate(0.9, 0.5, 0.02)
    gate.wait()
    assert (gate.passed, gate.gave_up, gate.waited) == (1, 0, 3 * quiet.LOOK_SECONDS)
    assert "quiet before each of 1 measurements" in gate.words()


def test_patience_ends_and_the_report_says_so() -> None:
    gate = a_gate(0.8, in_all=30.0)
    for _ in range(5):
        gate.wait()
    assert gate.gave_up == 5
    assert gate.waited == pytest.approx(30.0, abs=3 * quiet.LOOK_SECONDS)
    assert "not quiet" in gate.words()
    assert "5 of 5" in gate.words()


def test_without_patience_nobody_looks() -> None:
    gate = a_gate(1.0, in_all=0.0)
    gate.wait()
    assert gate.waited == 0
    assert "not looked at" in gate.words()


def test_everybody_has_a_turn_in_every_round_the_floor_first() -> None:
    names = ["a", "b", "c", "floor"]
    drawn = list(interleaved(names, 20, seed=3, gate=a_gate(0.0), first=["floor"]))
    rounds = [[name for number, name in drawn if number == wanted] for wanted in range(20)]
    assert all(sorted(one) == names and one[0] == "floor" for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1
    assert drawn == list(interleaved(names, 20, seed=3, gate=a_gate(0.0), first=["floor"]))


def test_a_slow_round_is_slow_for_both() -> None:
    values = Values()
    for slow in (1.0, 10.0, 1.0):
        values.add("ours", 1.2 * slow)
        values.add("floor", 1.0 * slow)
    assert values.ratio("ours", "floor") == pytest.approx(1.2)
    assert values.spread("ours") == "1.2 s (1.2-12)"


def test_the_report_lists_figures_and_says_how(tmp_path: Path) -> None:
    rows = [least("speed", 3.4999, 3.5, "by a clock"), told("size", 7, "MiB", "by a ruler")]
    sections = [Section("Speed", rows, "That is all.")]
    around = Circumstances(tmp_path, tmp_path, tmp_path, True, 17, a_gate(0.0, in_all=0.0))
    benchmark = Benchmark("example", "About.", {})
    write_report(benchmark, sections, tmp_path / "to", commit="abc", circumstances=around)
    assert json.loads((tmp_path / "to" / "report.json").read_text()) == [
        {"figure": "speed", "value": 3.5, "unit": "x", "limit": ">= 3.5", "holds": False},
        {"figure": "size", "value": 7.0, "unit": "MiB", "limit": None, "holds": None},
    ]
    text = (tmp_path / "to" / "report.md").read_text()
    assert "| speed | 3.5 x | >= 3.5 | **no** | by a clock |" in text
    assert "Commit abc, seed 17" in text


def test_the_report_says_why_a_limit_is_missed(tmp_path: Path) -> None:
    around = Circumstances(tmp_path, tmp_path, tmp_path, quick=False, seed=1, gate=a_gate(0.0))
    rows = [least("slow", 1.0, 2.0, "by hand"), least("fast", 3.0, 2.0, "by hand")]
    rows.append(least("strange", 1.0, 2.0, "by hand"))
    reasons = {"slow": "the wind is against us", "fast": "nobody asks"}
    benchmark = Benchmark("sailing", "How fast.", {}, reasons)
    write_report(benchmark, [Section("Sea", rows)], tmp_path, commit="abc", circumstances=around)
    missed = (tmp_path / "report.md").read_text().partition("## What misses its limit, and why")[2]
    assert missed.split("\n")[2:4] == [
        "- **slow**: the wind is against us",
        "- **strange**: not known",
    ]
    assert "nobody asks" not in missed
