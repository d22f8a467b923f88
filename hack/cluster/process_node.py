"""A node that is a process tree on this machine's kernel: fast, and with this machine's clock."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from . import images, metadata, network
from .commands import programs, until
from .faults import Node
from .files import write_atomically
from .machine import WITH_NETWORK, base_env
from .node_config import Disk, services, spec
from .pools import NodeSpec
from .site import Site


class ProcessNode(Node):
    """Its services run in namespaces, beside those of every other node."""

    def __init__(self, site: Site, spec: NodeSpec) -> None:
        super().__init__(site, spec)
        self._disk = Disk(self.machine.directory)

    @property
    def boot_id(self) -> str:
        return self._disk.boot_id.read_text().strip()

    def _tell_metadata(self, announced: metadata.Announced) -> None:
        self.machine.reconfigure(services(self.spec, self._site.record, announced))

    def await_metadata(self) -> None:
        table = Path(f"/proc/{self.machine.pid()}/net/tcp")
        until(
            f"the metadata service of {self.name}",
            lambda: metadata.listens(table.read_text()),
            within=15,
            every=0.02,
            explain=lambda: self.machine.log_tail(metadata.SERVICE),
        )

    def import_images(self, archives: Sequence[Path]) -> None:
        images.import_into(self.machine, archives)

    def name_image(self, reference: str, name: str) -> None:
        """Let its runtime know the image `reference` as `name`, too, as if it had pulled that."""
        images.name_again(self.machine, reference, name)

    def forget_image(self, name: str) -> None:
        """Let its runtime know no image of this name: kubelet must pull it for the next pod."""
        images.forget(self.machine, name)

    def begin(self) -> None:
        site, disk = self._site, self._disk
        cgroup = site.cgroups.kubelet_root(self.name)
        if not disk.etc.exists():
            disk.lib.mkdir(parents=True, exist_ok=True)
            site.store.copy_to(disk.containerd)
            site.note_images(self.machine)
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
