"""The command line: parses, runs one command, turns trouble into a line with its remedy."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple

from spot_training.checkpoint.records import FormatError
from spot_training.checkpoint.store import Corrupt, NotFound, StoreError
from spot_training.cli.codes import BAD, EXPLAINED, INTERRUPTED, UNSEEN, Refusal
from spot_training.cli.places.place import WHERE
from spot_training.cli.text import reflow

DESCRIPTION = """\
Look after checkpoints, and prove that a training script can be interrupted.

  spot-training checkpoints ls ./spot-checkpoints
  spot-training run --kill-every 30s -- python train.py
  spot-training verify -- python train.py"""

Handle = Callable[[argparse.Namespace], int]


class Command(NamedTuple):
    """A command's module, and the names of its functions there."""

    name: str
    module: str
    add: str = "add"
    handle: str = "handle"
    summary: str = "SUMMARY"


CHECKPOINTS = (
    Command("ls", "checkpoints.ls"),
    Command("show", "checkpoints.show"),
    Command("verify", "checkpoints.verify"),
    Command("pin", "checkpoints.pin"),
    Command("unpin", "checkpoints.pin", "add_unpin", "handle_unpin", "UNPIN_SUMMARY"),
    Command("rm", "checkpoints.rm"),
    Command("unquarantine", "checkpoints.unquarantine"),
    Command("export", "checkpoints.export"),
)

TRUST = (Command("run", "run.command"), Command("verify", "compare.command"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    own, command = _split(given)
    options = parser().parse_args(own)
    options.command = command
    handle: Handle = options.handle
    try:
        return _flushed(handle(options))
    except Refusal as error:
        return _fail(str(error), error.code)
    except (NotFound, Corrupt, FormatError) as error:
        return _fail(str(error), BAD)
    except StoreError as error:
        return _fail(f"{error} (see --profile, --endpoint-url, --region and --ca)", UNSEEN)
    except BrokenPipeError:  # `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BAD
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = _parser(argparse.ArgumentParser, prog="spot-training", description=DESCRIPTION)
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    group = _parser(
        commands.add_parser,
        "checkpoints",
        help="list, verify, pin, delete and export checkpoints",
        description=f"Look after the checkpoints of a lineage.\n\n{WHERE}",
    )
    below = group.add_subparsers(metavar="COMMAND", required=True)
    for command in CHECKPOINTS:
        _add(below, command, details=WHERE)
    for command in TRUST:
        _add(commands, command, details="")
    return top


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], command: Command, *, details: str
) -> None:
    module = import_module(f"spot_training.cli.{command.module}")
    summary = getattr(module, command.summary)
    parser = _parser(
        commands.add_parser,
        command.name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.\n\n{details}",
        epilog=f"{module.DETAILS}\n\n{getattr(module, 'EXITS', EXPLAINED)}",
    )
    getattr(module, command.add)(parser)
    parser.set_defaults(handle=getattr(module, command.handle))


def _parser(
    make: Callable[..., argparse.ArgumentParser], *names: str, **settings: str
) -> argparse.ArgumentParser:
    width = min(100, shutil.get_terminal_size().columns) - 2
    settings = {"epilog": EXPLAINED, **settings}
    for name in ("description", "epilog"):
        settings[name] = reflow(settings[name], width)
    return make(*names, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What is ours, and the command behind `--`."""
    if "--" not in arguments:
        return list(arguments), []
    at = arguments.index("--")
    return list(arguments[:at]), list(arguments[at + 1 :])


def _flushed(code: int) -> int:
    """Written now, so that a closed pipe is met here and not while the interpreter ends."""
    sys.stdout.flush()
    return code


def _fail(message: str, code: int) -> int:
    print(f"spot-training: {message}", file=sys.stderr)
    return code
