"""What this machine lacks for a cluster: the toolchain's findings, and those on our state."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from toolchain import doctor as toolchain_doctor
from toolchain.doctor import Finding, State
from toolchain.layout import cache_from

from .commands import succeeds
from .machine import Machine
from .records import Home, all_records, state_root


def examine() -> list[Finding]:
    """Look at everything; changes nothing that outlives the call."""
    root = state_root(os.environ)
    return [*toolchain_doctor.examine(cache_from(os.environ)), *_state(root), *_clusters(root)]


def _state(root: Path) -> Iterator[Finding]:
    existing = next(path for path in (root, *root.parents) if path.is_dir())
    remedy = "set SPOT_CLUSTER_DIR to a directory on ext4, xfs or btrfs"
    works = _keeps_attributes(existing)
    detail = f"{root}: keeps extended attributes" if works else f"{root}: no extended attributes"
    yield Finding("state directory", State.OK if works else State.MISSING, detail, remedy)
    if os.geteuid() == 0:
        works = _holds_containers(existing)
        detail = "containers' file systems can lie there"
        yield Finding(
            "overlayfs on it",
            State.OK if works else State.MISSING,
            detail if works else "overlayfs refuses it as an upper layer",
            remedy,
        )


def _keeps_attributes(directory: Path) -> bool:
    """The object store keeps checksums and metadata in extended attributes."""
    with tempfile.NamedTemporaryFile(dir=directory) as file:
        try:
            os.setxattr(file.name, "user.spot", b"1")
        except OSError:
            return False
    return True


def _holds_containers(directory: Path) -> bool:
    script = "mkdir l u w m; mount -t overlay overlay -o lowerdir=l,upperdir=u,workdir=w m"
    with tempfile.TemporaryDirectory(dir=directory) as trial:
        return succeeds("unshare", "--mount", "sh", "-ec", f"cd {trial}; {script}")


def _clusters(root: Path) -> Iterator[Finding]:
    for record in all_records(root):
        running = Machine(Home(root, record.id).hub).is_running()
        state = "is up" if running and record.phase == "up" else "is starting, or a remainder"
        yield Finding(
            f"cluster {record.id}", State.NOTE, f"{state}; end: hack/cluster down --id {record.id}"
        )
