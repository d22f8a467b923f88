"""`spot-training verify`: compares two lineages, or makes both from one script."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from spot_training import steplog
from spot_training.cli.codes import BAD, OK, Refusal, wrong_usage
from spot_training.cli.compare import report, steps
from spot_training.cli.compare.final import RESULT, find
from spot_training.cli.compare.lineages import compare
from spot_training.cli.places.directory import open_directory
from spot_training.cli.places.place import Place, access_of, add_access, open_place
from spot_training.cli.run import command as run
from spot_training.cli.run.schedule import seconds
from spot_training.cli.run.supervise import STEPS

SUMMARY = "prove that an interrupted run ends in the same state as an uninterrupted one"
DETAILS = """\
Two ways:

  spot-training verify ./whole ./interrupted
      compares two lineages, wherever they are
  spot-training verify -- python train.py
      runs the script twice in fresh directories: once in peace, once killed
      about --kills times

Compared bit for bit: every tensor of what the runs completed with (else of their newest valid
checkpoint), the typed state (step, position, random state, plain values), and where both have a log
of their steps, the metrics of each step, those done again included. Every byte is verified while it
is read. Exit code 1 if anything differs, with what usually causes it.

A script that fails or refuses ends with its own exit code."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lineages", metavar="WHERE", nargs="*", help="the two lineages")
    parser.add_argument("--a", metavar="CHECKPOINT", default=RESULT, help="of the first (result)")
    parser.add_argument("--b", metavar="CHECKPOINT", default=RESULT, help="of the second (result)")
    add_access(parser)
    group = parser.add_argument_group("running a script")
    group.add_argument("--kills", metavar="N", type=int, default=4, help="about so many (4)")
    group.add_argument("--kill-every", metavar="TIME", help="instead of --kills")
    group.add_argument("--keep", metavar="DIR", type=Path, help="keep both lineages there")
    run.add_strikes(group)
    parser.usage = (
        "spot-training verify [options] A B\n       spot-training verify [options] -- COMMAND ..."
    )


def handle(options: argparse.Namespace) -> int:
    if options.command and not options.lineages:
        return _run_both(options)
    if options.command or len(options.lineages) != 2:
        raise wrong_usage(
            "give two lineages, or a script behind --; see spot-training verify --help"
        )
    access = access_of(options)
    one, other = (open_place(where, access) for where in options.lineages)
    return _compare(one, other, options)


def _compare(one: Place, other: Place, options: argparse.Namespace) -> int:
    found = compare(find(one, options.a), find(other, options.b), _steps(one, other))
    print("\n".join(report.lines(found)))
    return OK if found.identical else BAD


def _steps(one: Place, other: Place) -> steps.Steps | None:
    """Only directories have a log, and only where `run` or `verify` asked for it."""
    logs = [steps.by_step(steplog.read(Path(place.title) / STEPS)) for place in (one, other)]
    return steps.compare(*logs) if all(logs) else None


def _run_both(options: argparse.Namespace) -> int:
    script = run.expect_command(options)
    folder = _folder(options.keep)
    try:
        whole, interrupted = folder / "whole", folder / "interrupted"
        code = _run(options, script, whole, every=None)
        if code == OK:
            code = _run(options, script, interrupted, every=_every(options, whole))
        if code != OK:
            return code
        return _compare(open_directory(whole), open_directory(interrupted), options)
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def _folder(keep: Path | None) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="spot-verify-"))
    if keep.exists() and any(keep.iterdir()):
        raise Refusal(f"{keep} is not empty: give a new directory for --keep")
    keep.mkdir(parents=True, exist_ok=True)
    return keep.absolute()


def _run(options: argparse.Namespace, script: list[str], lineage: Path, every: float | None) -> int:
    schedule = None if every is None else run.schedule_of(options, every)
    plan = run.plan_of(options, script, lineage, schedule)
    how = f"{plan.strike.spelled()} {schedule.spelled()}, seed {schedule.seed}" if schedule else ""
    run.tell(f"{lineage.name}: {how or 'in peace'}")
    result = run.supervise(replace(plan, max_kills=_enough(options) if schedule else None))
    run.report(result)
    if result.verdict.code == OK and schedule and not any(s.resumed_at for s in result.starts):
        raise Refusal(
            "nothing was resumed, so nothing is proved: every kill came before the first "
            "checkpoint. Give a longer --kill-every, or the script a shorter interval"
        )
    return result.verdict.code


def _enough(options: argparse.Namespace) -> int:
    """Bounds the time: restarts make the interrupted run longer, and so would more kills."""
    limit: int = 2 * options.kills
    return limit


def _every(options: argparse.Namespace, whole: Path) -> float:
    """So that about `kills` of them fall into the time that the run in peace took."""
    if options.kill_every:
        return seconds(options.kill_every)
    if options.kills < 1:
        raise wrong_usage("--kills has to be at least 1")
    lines = steplog.read(whole / STEPS)
    if len(lines) < 2:
        raise Refusal("the script did no step, so there is nothing to interrupt")
    took = lines[-1].at - lines[0].at
    kills: int = options.kills
    return took / (kills + 1)
