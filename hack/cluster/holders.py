"""Which process a cluster is for: while that one lives, no other may replace the cluster.

A test or demo ends its cluster itself. What one that was killed left behind is replaced by the next
of the same id; one that is at work, of another checkout say, must not lose its cluster to it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from .errors import PreconditionError
from .files import write_atomically
from .processes import Process, identify
from .records import Home

SHOWN = 120
"""Characters of a command that are worth showing."""


def hold(home: Home) -> None:
    """The cluster is this process's from now on. The caller holds the lock on its directory."""
    write_atomically(_file(home), json.dumps(asdict(identify(os.getpid()))))


def refuse_if_held(home: Home) -> None:
    """Raises `PreconditionError` when the cluster is another living process's."""
    holder = _holder(home)
    if holder is None or holder.pid == os.getpid() or not holder.is_alive():
        return
    raise PreconditionError(
        f"cluster {home.id} belongs to process {holder.pid}{_described(holder.pid)}, which is at "
        "work: run this again when it has ended, or end its cluster (hack/cluster down --id "
        f"{home.id})"
    )


def _file(home: Home) -> Path:
    return home.path / "holder.json"


def _holder(home: Home) -> Process | None:
    try:
        return Process(**json.loads(_file(home).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _described(pid: int) -> str:
    """What it runs, and where, as far as it lets us see that."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        folder = Path(f"/proc/{pid}/cwd").readlink()
    except (OSError, ValueError):
        return ""
    # A process has no words for a moment while it becomes another program.
    return f" (`{words[:SHOWN]}` in {folder})" if words else f" (in {folder})"
