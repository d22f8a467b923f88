"""One node and what can happen to it, whatever its machine is made of."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from . import metadata, network
from .errors import PreconditionError
from .machine import Machine
from .pools import NodeSpec
from .readiness import await_ready
from .site import Site


class Node(ABC):
    """A node of a running cluster.

    Whatever is done to it can be done from any process: its state is on disk and in the kernel.
    """

    boots_within: float = 90
    """Seconds after which a start is given up."""

    def __init__(self, site: Site, spec: NodeSpec) -> None:
        self.spec = spec
        self._site = site
        self.machine = Machine(site.home.nodes / spec.name)

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def address(self) -> str:
        return str(self._site.record.addresses.node(self.spec.index))

    @property
    @abstractmethod
    def boot_id(self) -> str:
        """Of its newest start; Kubernetes shows it in `status.nodeInfo.bootID`.

        Empty while a machine with a kernel of its own has not said it yet.
        """

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
        self._tell_metadata(announced)
        self.await_metadata()

    @abstractmethod
    def _tell_metadata(self, announced: metadata.Announced) -> None:
        """Start its metadata service again, with this to say."""

    @abstractmethod
    def await_metadata(self) -> None:
        """Wait until the node's metadata service listens."""

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
            self.await_pods()

    def await_pods(self) -> None:
        """Wait until it takes pods and has the images that came while it was off."""
        await_ready(self._site, {self.name: lambda: self.boot_id}, self.boots_within)
        self.catch_up_images()

    def catch_up_images(self) -> None:
        """Import into the running node what the image store got while it was off."""
        self.import_images(self._site.images_missing_in(self.machine))
        self._site.note_images(self.machine)

    @abstractmethod
    def import_images(self, archives: Sequence[Path]) -> None:
        """Import docker-archives into the containerd of the running node."""

    def partition(self) -> None:
        """Unplug its network: what runs on it goes on, and reaches nobody."""
        network.cut(self.spec, self._site.hub.pid())

    def heal(self) -> None:
        """Plug the network in again."""
        network.mend(self.spec, self._site.hub.pid())

    @abstractmethod
    def begin(self) -> None:
        """Start its machine and return at once; the first time, make its disk."""
