"""The disks of machines with a kernel of their own: the toolchain's system, and the images.

The cluster's image store has every image unpacked (`images.py`); its folder becomes a file system
once, and each node gets sparse copies of both.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from toolchain.errors import ToolchainError
from toolchain.layout import cache_from
from toolchain.machine_disk import current_disk

from .commands import run
from .errors import PreconditionError
from .images import ImageStore

_IMAGES_SIZE = "8G"
"""The file is sparse; containers write there, too."""


def system_disk() -> Path:
    """The toolchain's; raises `PreconditionError` when it is not made."""
    try:
        found = current_disk(cache_from(os.environ))
    except ToolchainError as error:
        raise PreconditionError(str(error)) from error
    if found is None:
        raise PreconditionError("the machine disk is not made; run: make toolchain")
    return found


def copy_disks(folder: Path, store: ImageStore, owner: int) -> None:
    """Give a machine its two disks, `system.ext4` and `images.ext4`, owned by that user id."""
    folder.mkdir(parents=True, exist_ok=True)
    for source, name in ((images_disk(store), "images.ext4"), (system_disk(), "system.ext4")):
        target = folder / name
        run("cp", "--sparse=always", "--reflink=auto", str(source), str(target), within=120)
        target.chmod(0o600)
        os.chown(target, owner, owner)


def images_disk(store: ImageStore) -> Path:
    """A file system with what the store holds now; made when there is none such yet."""
    key = hashlib.sha256("\0".join(store.archives).encode()).hexdigest()[:12]
    disk = store.machine.directory / f"disk-{key}.ext4"
    if not disk.exists():
        for old in store.machine.directory.glob("disk-*.ext4*"):
            old.unlink()
        fresh = disk.with_suffix(".ext4.new")
        run("truncate", "--size", _IMAGES_SIZE, str(fresh))
        run("mkfs.ext4", "-q", "-F", "-d", str(store.root), str(fresh), within=300)
        fresh.replace(disk)
    return disk
