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
from spot_training.cli.run.story import unproved
from spot_training.cli.run.supervise import STEPS, Plan
from spot_training.cli.text import count

SUMMARY = "prove that an interrupted run ends in the same state as an uninterrupted one"
DETAILS = """\
Two ways:

  spot-training verify ./whole ./interrupted
      compares two lineages, wherever they are
  spot-training verify -- python train.py
      runs the script twice in fresh directories: uninterrupted, then killed
      about --kills times, the time counted from the first step of each start

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
    run.tell(f"{lineage.name}: {_how(plan)}")
    limit = _enough(options) if schedule else None
    result = run.supervise(replace(plan, max_kills=limit, from_first_step=True))
    run.report(result)
    why = unproved(result.starts) if schedule else ""
    if result.verdict.code == OK and why:
        raise Refusal(f"nothing is proved: {why}")
    return result.verdict.code


def _how(plan: Plan) -> str:
    if plan.schedule is None:
        return "uninterrupted"
    when = f"{plan.schedule.spelled()} of training, seed {plan.schedule.seed}"
    return f"{plan.strike.spelled()} {when}"


def _enough(options: argparse.Namespace) -> int:
    """Bounds the time: restarts make the interrupted run longer, and so would more kills."""
    limit: int = 2 * options.kills
    return limit


def _every(options: argparse.Namespace, whole: Path) -> float:
    """So that about `kills` of them fall into the steps of the uninterrupted run."""
    if options.kill_every:
        return seconds(options.kill_every)
    if options.kills < 1:
        raise wrong_usage("--kills has to be at least 1")
    done = [line.at for line in steplog.read(whole / STEPS) if line.kind == steplog.STEP]
    if len(done) < 2:
        raise Refusal(f"the script did {count(len(done), 'step')}: give it more to interrupt")
    kills: int = options.kills
    return (done[-1] - done[0]) / (kills + 1)
