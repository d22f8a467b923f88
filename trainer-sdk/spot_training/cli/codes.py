"""Exit codes, and the error that carries one."""

# ruff: noqa: N818 - errors are named for what happened
from __future__ import annotations

OK = 0
BAD = 1
USAGE = 2
UNSEEN = 3
INTERRUPTED = 130

EXPLAINED = f"""\
exit codes:
  {OK}    what was asked for is so
  {BAD}    it is not: a checkpoint is damaged, lineages differ, a rule refuses
  {USAGE}    the command line is wrong
  {UNSEEN}    it could not be seen: store or cluster out of reach, no permission
  {INTERRUPTED}  interrupted (Ctrl-C)"""


class Refusal(Exception):
    """The command ends here; the message says what to change."""

    def __init__(self, message: str, code: int = BAD) -> None:
        super().__init__(message)
        self.code = code


def wrong_usage(message: str) -> Refusal:
    """The command line cannot be meant like this."""
    return Refusal(message, USAGE)


def unseen(message: str) -> Refusal:
    """Nothing is known about the checkpoint: the way to it is in trouble."""
    return Refusal(message, UNSEEN)
