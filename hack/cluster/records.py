"""What is remembered of a cluster between two commands: one directory, one JSON file.

    <root>/                     $SPOT_CLUSTER_DIR, else /var/tmp/spot-cluster
    └── <id>/
        ├── cluster.json        this record
        ├── kubeconfig          for the user
        ├── pki/                the cluster's own certificate authority
        ├── hub/                the machine of the control plane; etcd's data
        ├── s3/                 the object store's buckets
        ├── images/             the machine that unpacks images, once for all nodes
        └── nodes/<name>/       the nodes' machines

/var/tmp survives a reboot, so what a crashed machine left is found and removed afterwards.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from .addresses import Addresses
from .errors import PreconditionError
from .files import write_atomically
from .pools import NodeSpec

_ID = re.compile(r"[a-z0-9]{1,8}")
"""Short: `spot-<id>` is the name of a network link (15 characters at most)."""
_HIDDEN_IN_NODES = ("/run", "/var/lib", "/var/log")

Phase = Literal["starting", "up"]


@dataclass(frozen=True)
class Record:
    """One cluster. `nodes` is None where there is only a control plane, without networks."""

    id: str
    slot: int
    phase: Phase
    access_key: str
    secret_key: str
    controllers: bool
    lease_seconds: int
    grace_seconds: int
    nodes: tuple[NodeSpec, ...] | None

    @property
    def addresses(self) -> Addresses:
        return Addresses(self.slot)

    @property
    def api_address(self) -> str:
        found = self.addresses
        return str(found.loopback if self.nodes is None else found.hub)

    def with_node(self, node: NodeSpec) -> Record:
        return replace(self, nodes=(*(self.nodes or ()), node))


def to_json(record: Record) -> str:
    return json.dumps(asdict(record), indent=1)


def from_json(text: str) -> Record:
    raw: dict[str, Any] = json.loads(text)
    if raw["nodes"] is not None:
        raw["nodes"] = tuple(NodeSpec(**node) for node in raw["nodes"])
    return Record(**raw)


def checked_id(text: str) -> str:
    """The id, or `PreconditionError`."""
    if not _ID.fullmatch(text):
        raise PreconditionError(f"cluster id {text!r}: use 1 to 8 of a-z and 0-9")
    return text


def state_root(environ: Mapping[str, str]) -> Path:
    """Where clusters are kept; raises `PreconditionError` where nodes could not see it."""
    user = os.geteuid()
    default = "/var/tmp/spot-cluster" + (f"-{user}" if user else "")  # noqa: S108
    root = Path(environ.get("SPOT_CLUSTER_DIR") or default).absolute()
    for hidden in _HIDDEN_IN_NODES:
        if root.resolve().is_relative_to(hidden):
            raise PreconditionError(
                f"SPOT_CLUSTER_DIR={root}: nodes have a {hidden} of their own; choose another place"
            )
    return root


class Home:
    """The directory of one cluster."""

    def __init__(self, root: Path, cluster_id: str) -> None:
        self.root = root
        self.id = checked_id(cluster_id)
        self.path = root / cluster_id
        self.pki = self.path / "pki"
        self.kubeconfig = self.path / "kubeconfig"
        self.hub = self.path / "hub"
        self.buckets = self.path / "s3"
        self.images = self.path / "images"
        self.nodes = self.path / "nodes"

    def read(self) -> Record | None:
        """Its record, if there is one; raises `PreconditionError` when it makes no sense."""
        path = self.path / "cluster.json"
        if not path.exists():
            return None
        try:
            return from_json(path.read_text())
        except (ValueError, TypeError, KeyError) as error:
            raise PreconditionError(
                f"{path} is of another version: hack/cluster down --id {self.id} removes it"
            ) from error

    def write(self, record: Record) -> None:
        write_atomically(self.path / "cluster.json", to_json(record))

    def machines(self) -> Iterator[Path]:
        """The directories of all machines: nodes first, so that no node outlives its hub."""
        yield from sorted(self.nodes.glob("*"))
        yield from (path for path in (self.images, self.hub) if path.exists())


def all_records(root: Path) -> list[Record]:
    found = (Home(root, path.parent.name).read() for path in root.glob("*/cluster.json"))
    return [record for record in found if record is not None]


@contextmanager
def locked(root: Path, within: float = 30) -> Iterator[None]:
    """Hold the root while clusters come and go; the kernel lets go when the holder dies.

    The lock is on the directory itself: a lock file would be left behind.
    """
    limit = time.monotonic() + within
    while (held := _try_lock(root)) is None:
        if time.monotonic() > limit:
            raise PreconditionError(f"another command works on {root}; try again when it is done")
        time.sleep(0.05)
    try:
        yield
    finally:
        os.close(held)


def _try_lock(root: Path) -> int | None:
    root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == root.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None
