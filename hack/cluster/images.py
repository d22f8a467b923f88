"""Images, unpacked once for all nodes.

Unpacking an image into every node's containerd is the slow part of starting a cluster. So a
containerd without kubelet (the machine `images`) unpacks each archive once, and a node's store
starts as a copy of its store by hard links. That is safe because containerd never changes a
stored file: blobs and unpacked layers are read-only (overlayfs copies up what a container
writes). Only its databases are changed in place, and those are copied.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .commands import program, programs, run, until
from .errors import CommandError, PreconditionError
from .files import write_atomically
from .machine import NAMESPACES, Machine, Service, Spec, base_env
from .node_config import CONTAINERD_SOCKET

_CONFIG = f"""\
version = 3
root = "%s"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images",
  "io.containerd.cri.v1.runtime"]

[grpc]
address = "{CONTAINERD_SOCKET}"
"""


class ImageStore:
    """The images that every node of a cluster starts with."""

    def __init__(self, directory: Path, cgroups: tuple[str, ...]) -> None:
        self.machine = Machine(directory)
        self.root = directory / "root"
        self._cgroups = cgroups
        self._list = directory / "archives.json"

    @property
    def archives(self) -> list[str]:
        """The archives that are in it, as absolute paths."""
        return list(json.loads(self._list.read_text())) if self._list.exists() else []

    @contextmanager
    def adding(self, archives: Sequence[Path]) -> Iterator[None]:
        """Import docker-archives while the caller does something else; done at the end."""
        added = [str(checked(path)) for path in archives]
        self._start()
        command = ['for each; do "$0" --address $ADDRESS -n k8s.io images import "$each"; done']
        try:
            with subprocess.Popen(
                ["sh", "-ec", *command, program("ctr"), *added],
                env={**base_env(programs(), self.root), "ADDRESS": _socket(self.machine)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as importing:
                try:
                    yield
                except BaseException:
                    importing.kill()
                    raise
                output, _ = importing.communicate(timeout=300)
                if importing.returncode:
                    raise CommandError(f"importing {', '.join(added)}: {output[-2000:]}")
        finally:
            self.machine.power_off()
        write_atomically(self._list, json.dumps(sorted({*self.archives, *added})))

    def _start(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        config = self.machine.directory / "containerd.toml"
        write_atomically(config, _CONFIG % self.root)
        spec = Spec(
            services=(Service("containerd", ("containerd", "--config", str(config))),),
            env=base_env(programs(), self.root),
            setup="mount -t tmpfs -o mode=755 tmpfs /run\n",
            cgroups=self._cgroups,
        )
        self.machine.start(spec, NAMESPACES)
        until(
            "the image store",
            Path(_socket(self.machine)).exists,
            within=20,
            explain=lambda: self.machine.log_tail("containerd"),
        )

    def copy_to(self, containerd_root: Path) -> None:
        """Give a new node a store that holds the same."""
        run("cp", "-a", "--link", str(self.root), str(containerd_root), within=120)
        for database in containerd_root.glob("io.containerd.*/*.db"):
            own = database.with_suffix(".own")
            shutil.copy2(database, own)
            own.replace(database)


def import_into(node: Machine, archives: Sequence[Path]) -> None:
    """Import archives into the containerd of a running node."""
    for archive in archives:
        address = ("--address", _socket(node), "-n", "k8s.io")
        run(program("ctr"), *address, "images", "import", str(checked(archive)), within=300)


def name_again(node: Machine, reference: str, name: str) -> None:
    """Give an image of a running node a further name, as if it had been pulled under it."""
    _images(node, "tag", "--force", reference, name)


def forget(node: Machine, name: str) -> None:
    """Take a name away from an image of a running node: whoever asks for it must pull it."""
    _images(node, "rm", "--sync", name)


def _images(node: Machine, *arguments: str) -> None:
    address = ("--address", _socket(node), "-n", "k8s.io")
    run(program("ctr"), *address, "images", *arguments, within=60)


def checked(archive: Path) -> Path:
    """Its absolute path; raises `PreconditionError` when it is not there."""
    path = archive.resolve()
    if not path.is_file():
        raise PreconditionError(f"there is no image archive {archive}")
    return path


def _socket(machine: Machine) -> str:
    """The containerd socket in the machine's own /run, as the host reaches it."""
    return f"/proc/{machine.pid()}/root{CONTAINERD_SOCKET}"


def sandbox_image(images: Path) -> tuple[str, Path]:
    """The pause image that the toolchain built: its name and its archive."""
    record = images / "pause.json"
    if not record.exists():
        raise PreconditionError("the pause image is not built; run: make toolchain")
    found = json.loads(record.read_text())
    return found["reference"], Path(found["archive"])
