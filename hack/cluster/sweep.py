"""Removing all that a cluster made, from whatever state it is in."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from . import network
from .cgroups import Cgroups
from .commands import run
from .machine import Machine
from .records import Home, locked


def sweep(home: Home, *, itself: bool = True) -> None:
    """End every machine, then remove link, mounts, cgroups and files; fine to repeat.

    The record goes last, so an interrupted sweep is found and finished by the next. `itself`:
    also remove the cluster's directory and, if no other cluster is there, the root. The caller
    holds the lock on the directory.
    """
    for directory in home.machines():
        Machine(directory).power_off()
    if os.geteuid() == 0:
        network.disconnect_hub(home.id)
        for mount in mounts_below(home.path, Path("/proc/self/mounts").read_text()):
            run("umount", "--lazy", mount)
        Cgroups(f"spot-{home.id}").remove()
    _empty(home.path)
    if itself:
        home.path.rmdir()
        with locked(home.root):
            if not any(home.root.iterdir()):
                home.root.rmdir()


def mounts_below(path: Path, mounts: str) -> list[str]:
    """Mount points under the path, innermost first, from the text of /proc/self/mounts."""
    points = [line.split()[1] for line in mounts.splitlines()]
    return sorted((p for p in points if Path(p).is_relative_to(path)), key=len, reverse=True)


def _empty(directory: Path) -> None:
    record = directory / "cluster.json"
    for path in directory.iterdir():
        if path == record:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    record.unlink(missing_ok=True)
