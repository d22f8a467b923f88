"""The cgroups of a cluster: `/spot-<id>/system` for its programs, `/spot-<id>/<node>` for pods.

With version 1 (or hybrid) every controller has a tree of its own, and the group has to exist in
each. With version 2 there is one tree, in which groups with children may hold no processes, and
controllers are handed down level by level. This project's tests run on version 1; the code for
version 2 follows the kernel's documentation and has not been run.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

from .errors import ClusterError

_V2_CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")


def hierarchies(mounts: str) -> list[Path]:
    """The roots of all cgroup trees, from the text of /proc/self/mounts."""
    rows = [line.split() for line in mounts.splitlines()]
    return [Path(row[1]) for row in rows if row[2] in {"cgroup", "cgroup2"}]


class Cgroups:
    """The groups of one cluster; `name` is its own top group, `spot-<id>`."""

    def __init__(self, name: str, roots: Iterable[Path] | None = None) -> None:
        self.name = name
        self.roots = list(
            hierarchies(Path("/proc/self/mounts").read_text()) if roots is None else roots
        )

    def create(self, child: str) -> tuple[str, ...]:
        """Make `/<name>/<child>` everywhere; returns the files by which a process joins it."""
        for root in self.roots:
            _make(root, root / self.name)
            _make(root / self.name, root / self.name / child)
        return tuple(str(root / self.name / child / "cgroup.procs") for root in self.roots)

    def kubelet_root(self, node: str) -> str:
        """Make the group that the node's pods get; returns its path as kubelets want it."""
        for root in self.roots:
            _make(root, root / self.name)
            _make(root / self.name, root / self.name / node)
            _hand_down(root / self.name / node)
        return f"/{self.name}/{node}"

    def remove(self, child: str = "", within: float = 20) -> None:
        """Remove the group and all below it; its processes have ended before."""
        limit = time.monotonic() + within
        for root in self.roots:
            group = root / self.name / child
            while group.exists() and not _removed(group):
                if time.monotonic() > limit:
                    raise ClusterError(f"cgroup {group} is still in use")
                time.sleep(0.05)


def _make(parent: Path, group: Path) -> None:
    _hand_down(parent)
    group.mkdir(exist_ok=True)
    # A cpuset of version 1 starts empty, and no process may join an empty one.
    for file in ("cpuset.cpus", "cpuset.mems"):
        inherited, own = parent / file, group / file
        is_v1 = own.exists() and not (group / "cgroup.controllers").exists()
        if is_v1 and not own.read_text().strip():
            own.write_text(inherited.read_text())


def _hand_down(group: Path) -> None:
    """Version 2: let children of the group have its controllers."""
    available = group / "cgroup.controllers"
    if not available.exists():
        return
    wanted = [c for c in available.read_text().split() if c in _V2_CONTROLLERS]
    if wanted:
        (group / "cgroup.subtree_control").write_text(" ".join(f"+{c}" for c in wanted))


def _removed(group: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        for path, _, _ in os.walk(group, topdown=False):
            try:
                Path(path).rmdir()
            except OSError:
                return False
    return not group.exists()
