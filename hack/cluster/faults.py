"""One node and what can happen to it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from . import metadata, network
from .commands import programs, until
from .errors import PreconditionError
from .files import write_atomically
from .machine import WITH_NETWORK, Machine, base_env
from .node_config import Disk, services, spec
from .pools import NodeSpec
from .readiness import await_ready
from .site import Site


class Node:
    """A node of a running cluster.

    Whatever is done to it can be done from any process: its state is on disk and in the kernel.
    """

    def __init__(self, site: Site, spec: NodeSpec) -> None:
        self.spec = spec
        self._site = site
        self.machine = Machine(site.home.nodes / spec.name)
        self._disk = Disk(self.machine.directory)

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def address(self) -> str:
        return str(self._site.record.addresses.node(self.spec.index))

    @property
    def boot_id(self) -> str:
        """Of its newest start; Kubernetes shows it in `status.nodeInfo.bootID`."""
        return self._disk.boot_id.read_text().strip()

    def is_running(self) -> bool:
        return self.machine.is_running()

    def is_partitioned(self) -> bool:
        return network.is_cut(self.spec, self._site.hub.pid())

    def notice(self, seconds: float = 120, action: metadata.Action = "terminate") -> datetime:
        """The metadata service announces the node's end from now on; returns the deadline (UTC).

        It only announces: nothing happens at the deadline unless `kill` is called.
        """
        exact = datetime.now(UTC) + timedelta(seconds=seconds)
        deadline = exact.replace(microsecond=0)
        self._announce(metadata.Notice(deadline, action))
        return deadline

    def rebalance(self) -> None:
        """The metadata service recommends to leave the node; there is no deadline."""
        self._announce(metadata.Rebalance(datetime.now(UTC)))

    def withdraw(self) -> None:
        """The metadata service announces nothing any more, as after a false alarm."""
        self._announce(None)

    def _announce(self, announced: metadata.Announced) -> None:
        if self.spec.capacity != "spot":
            raise PreconditionError(f"{self.name} is not a spot node; it gets no notices")
        self.machine.reconfigure(services(self.spec, self._site.record, announced))
        self.await_metadata()

    def await_metadata(self) -> None:
        """Wait until the node's metadata service listens."""
        table = Path(f"/proc/{self.machine.pid()}/net/tcp")
        until(
            f"the metadata service of {self.name}",
            lambda: metadata.listens(table.read_text()),
            within=15,
            every=0.02,
            explain=lambda: self.machine.log_tail(metadata.SERVICE),
        )

    def kill(self) -> None:
        """Cut its power: everything on it ends at once, in the middle of whatever it did.

        Its Node object stays, as on a cloud that has not noticed yet. Fine when it is off.
        """
        self.machine.power_off()
        network.disconnect_node(self.spec, self._site.hub.pid())
        self._site.cgroups.remove(self.name)

    def return_(self, *, fresh_disk: bool = False, wait: bool = True) -> None:
        """Start it again under its name, with a new boot id; returns when it takes pods.

        `fresh_disk`: as a new machine of the same name, not as one that was rebooted: its kubelet
        knows nothing of the pods that ran there.
        """
        if self.is_running():
            raise PreconditionError(f"{self.name} is running; kill it first")
        if fresh_disk:
            shutil.rmtree(self.machine.directory / "disk")
        self.begin()
        if wait:
            await_ready(self._site, {self.name: self.boot_id})
            self._site.catch_up_images(self.machine)

    def partition(self) -> None:
        """Unplug its network: what runs on it goes on, and reaches nobody."""
        network.cut(self.spec, self._site.hub.pid())

    def heal(self) -> None:
        """Plug the network in again."""
        network.mend(self.spec, self._site.hub.pid())

    def begin(self) -> None:
        """Start its machine and return at once; the first time, make its disk."""
        site, disk = self._site, self._disk
        cgroup = site.cgroups.kubelet_root(self.name)
        if not disk.etc.exists():
            disk.lib.mkdir(parents=True, exist_ok=True)
            site.fill(self.machine, disk)
            disk.format(self.spec, site.record, site.authority, site.sandbox, cgroup)
        boot = disk.new_boot()
        address = site.record.addresses.node(self.spec.index)
        write_atomically(metadata.config_file(disk.etc), metadata.config(self.spec, address, boot))
        env = base_env(programs(), disk.etc)
        joins = site.cgroups.create("system")
        self.machine.start(
            spec(self.spec, site.record, disk, env, joins),
            WITH_NETWORK,
            lambda pid: network.connect_node(site.record.addresses, self.spec, site.hub.pid(), pid),
        )
