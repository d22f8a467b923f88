"""`spot-training run`: the command line of it."""

from __future__ import annotations

import argparse
import os
import secrets
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

from spot_training.checkpoint import keys
from spot_training.checkpoint.stores.directory import DirectoryStore
from spot_training.cli.codes import Refusal, wrong_usage
from spot_training.cli.run.schedule import Schedule, seconds
from spot_training.cli.run.story import summary
from spot_training.cli.run.strike import KINDS, Strike
from spot_training.cli.run.supervise import Plan, Result, Supervisor
from spot_training.starting import DEFAULT_DIRECTORY

SUMMARY = "kill a training script again and again, and start it until it completes"
DETAILS = """\
Any script that calls spot_training.resume(), with no Kubernetes:

  spot-training run --kill-every 30s -- python train.py

The script and all it started are killed at a random instant around every --kill-every, counted from
each start, and started again until it completes. --signal TERM and notice warn first, as a deleted
pod or a reclaimed node does; SIGKILL follows after --grace. Ctrl-C ends the script and all it
started.

The script's checkpoints and a log of its steps (steps.jsonl) are in --lineage. Unless SPOT_INTERVAL
is set, a checkpoint is taken every fifth of --kill-every; an interval= in the script wins.
"""
EXITS = """\
exit codes:
  0    it completed
  1    it did not: no run.complete(), or kills leave no time for progress
  2    the command line is wrong
  93   the script refused (spot.refuse); no retry can help
  94   there is no valid checkpoint to go on from
  130  interrupted (Ctrl-C); the script is ended
  n    the script's own, after more than --max-failures in a row without a kill"""


class Interrupted(Exception):  # noqa: N818 - named for what happened
    """Ctrl-C, SIGTERM or a closed terminal: the script is ended first."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kill-every", metavar="TIME", default="30s", help="such as 30s or 2m")
    parser.add_argument("--max-kills", metavar="N", type=int, help="then leave it uninterrupted")
    add_strikes(parser)
    parser.add_argument(
        "--lineage", metavar="DIR", type=Path,
        help=f"where it keeps its checkpoints ($SPOT_DIR, else ./{DEFAULT_DIRECTORY})",
    )  # fmt: skip
    parser.usage = "spot-training run [options] -- COMMAND ..."


def add_strikes(parser: argparse._ActionsContainer) -> None:
    """The options that `verify -- COMMAND` has as well."""
    parser.add_argument(
        "--jitter", metavar="SHARE", type=float, default=0.5,
        help="how much earlier or later a kill may come (0.5: half of the time)",
    )  # fmt: skip
    parser.add_argument("--signal", choices=KINDS, default="KILL", help="how it is interrupted")
    parser.add_argument(
        "--grace", metavar="TIME", default="30s", help="from a warning to SIGKILL (30s)"
    )
    parser.add_argument("--seed", type=int, help="of the instants; it is told, to do it again")
    parser.add_argument(
        "--max-failures", metavar="N", type=int, default=3,
        help="failures of its own to put up with, in a row (3)",
    )  # fmt: skip


def handle(options: argparse.Namespace) -> int:
    command = expect_command(options)
    lineage = (options.lineage or Path(os.environ.get("SPOT_DIR", DEFAULT_DIRECTORY))).absolute()
    expect_unfinished(lineage)
    schedule = schedule_of(options, seconds(options.kill_every))
    plan = plan_of(options, command, lineage, schedule)
    tell(f"{shlex.join(command)}, {plan.strike.spelled()} {schedule.spelled()}")
    tell(f"seed {schedule.seed}, lineage {lineage}")
    result = supervise(plan)
    report(result)
    return result.verdict.code


def expect_command(options: argparse.Namespace) -> list[str]:
    """What stands behind `--`."""
    if not options.command:
        raise wrong_usage("give the script behind --, as in: spot-training run -- python train.py")
    command: list[str] = options.command
    return command


def expect_unfinished(lineage: Path) -> None:
    """A lineage that was completed would train nothing."""
    if lineage.is_dir() and DirectoryStore(lineage).list(keys.MARKERS):
        raise Refusal(
            f"{lineage} holds a run that was completed: give another --lineage, or delete it"
        )


def schedule_of(options: argparse.Namespace, every: float) -> Schedule:
    """Seeded by the options, or by a seed that is told."""
    if not 0 <= options.jitter <= 1:
        raise wrong_usage("--jitter is a share of the time, from 0 to 1")
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    return Schedule(every=every, jitter=options.jitter, seed=seed)


def plan_of(
    options: argparse.Namespace, command: list[str], lineage: Path, schedule: Schedule | None
) -> Plan:
    """The options as a plan for `lineage`."""
    return Plan(
        command=command,
        lineage=lineage,
        schedule=schedule,
        strike=Strike(options.signal, seconds(options.grace), lineage),
        max_kills=getattr(options, "max_kills", None),
        max_failures=options.max_failures,
        interval=schedule.every / 5 if schedule else None,
        tell=tell,
    )


def supervise(plan: Plan) -> Result:
    """Runs the plan; a signal to us ends the script and all it started."""
    before = {number: signal.signal(number, _interrupt) for number in _SIGNALS}
    try:
        return Supervisor(plan).run()
    except Interrupted as interrupted:
        raise Refusal("interrupted; the script is ended", interrupted.code) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def report(result: Result) -> None:
    """The end, in figures."""
    for line in summary(result.starts):
        tell(line)
    if result.verdict.why:
        tell(result.verdict.why)


def tell(text: str) -> None:
    """One line beside the script's own output."""
    print(f"spot-training run: {text}", file=sys.stderr, flush=True)


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _interrupt(number: int, _frame: Any) -> None:
    raise Interrupted(number)
