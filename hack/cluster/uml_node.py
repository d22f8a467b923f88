"""A node with its own kernel, clock and cgroups of version 2: slow, and real in what it does.

What can happen to it beside what happens to every node: panics, orderly and sudden reboots, a
graceful shutdown, a stall of its hypervisor, a wrong clock.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from . import metadata, network, uml
from .agent import Agent
from .commands import run, until
from .errors import ClusterError
from .faults import Node
from .files import write_atomically
from .images import checked
from .machine import WITH_NETWORK
from .node_config import ETC, services, write_configuration
from .pools import NodeSpec
from .processes import child_of
from .site import Site
from .uml_disks import copy_disks


class UmlNode(Node):
    """Its machine is a user-mode-linux kernel; see `uml.py`."""

    boots_within = 240

    def __init__(self, site: Site, spec: NodeSpec) -> None:
        super().__init__(site, spec)
        self._disk = self.machine.directory / "disk"
        self._etc = self._disk / "node"
        self._ahead = 0.0
        self._told = self.machine.directory / "log" / "boot_id"

    @property
    def boot_id(self) -> str:
        return self._told.read_text().strip() if self._told.exists() else ""

    @property
    def agent(self) -> Agent:
        return Agent(self.name, self.address)

    def run(self, command: str, within: float = 60) -> str:
        """What a shell command prints on it, as its root; raises `CommandError` when it fails."""
        return self.agent.run(command, within)

    def panic(self) -> None:
        """Its kernel panics; returns when the machine is off."""
        self._end_by("echo c > /proc/sysrq-trigger", within=30)

    def shut_down(self, within: float = 120) -> None:
        """An orderly power-off, with kubelet's graceful shutdown; returns when it is off."""
        self._end_by("systemctl poweroff", within)

    def reboot(self, *, wait: bool = True, within: float = 120) -> None:
        """An orderly reboot, with kubelet's graceful shutdown; returns when it takes pods again.

        `wait=False`: returns as soon as it boots.
        """
        self._end_by("systemctl reboot", within)
        self.return_(wait=wait)

    def freeze(self) -> None:
        """Its hypervisor stops running it; its clocks go on meanwhile."""
        os.kill(self._kernel(), signal.SIGSTOP)

    def thaw(self) -> None:
        """It runs again."""
        os.kill(self._kernel(), signal.SIGCONT)

    def set_clock(self, ahead: float) -> None:
        """Set its clock so many seconds ahead of this machine's; negative: behind."""
        self.run(f"date -s @{time.time() + ahead:.3f}")

    def clock_ahead(self) -> float:
        """How many seconds its clock is ahead of this machine's, to within a second or so."""
        return float(self.run("date +%s.%N").strip()) - time.time()

    def return_(self, *, fresh_disk: bool = False, wait: bool = True, ahead: float = 0.0) -> None:
        """As of every node; `ahead`: how many seconds its clock is ahead from the beginning."""
        self._ahead = ahead
        super().return_(fresh_disk=fresh_disk, wait=wait)

    def begin(self) -> None:
        site, owner = self._site, uml.user(self.spec)
        addresses = site.record.addresses
        if not self._etc.exists():
            copy_disks(self._disk, site.store, owner)
            site.note_images(self.machine)
            write_configuration(
                self._etc, self.spec, site.record, site.authority, site.sandbox, cgroup=""
            )
            write_atomically(self._etc / "agent", uml.agent_settings(addresses))
        setup = uml.guest_setup(self.spec, addresses, self._ahead)
        write_atomically(self._etc / "setup", setup)
        instance = metadata.config(self.spec, addresses.node(self.spec.index), str(uuid.uuid4()))
        write_atomically(metadata.config_file(self._etc), instance)
        self._write_programs(None)
        self._hand_over()
        self._told.unlink(missing_ok=True)
        self.machine.start(
            uml.spec(self.spec, addresses, self.machine.directory, site.cgroups.create("system")),
            WITH_NETWORK,
            lambda pid: network.connect_node(addresses, self.spec, site.hub.pid(), pid),
        )

    def _write_programs(self, announced: metadata.Announced) -> None:
        for name, script in uml.programs(services(self.spec, self._site.record, announced)).items():
            write_atomically(self._etc / "run" / name, script)

    def _hand_over(self) -> None:
        """Let the kernel's user, and nobody else, read the configuration and write the log."""
        owner = uml.user(self.spec)
        log = self.machine.directory / "log"
        log.mkdir(parents=True, exist_ok=True)
        for path in (log, self._etc, *self._etc.rglob("*")):
            os.chown(path, owner, owner)
        self._etc.chmod(0o700)

    def _tell_metadata(self, announced: metadata.Announced) -> None:
        self._write_programs(announced)
        self._hand_over()
        self.run(f"systemctl restart {metadata.SERVICE}")

    def await_metadata(self) -> None:
        until(
            f"the metadata service of {self.name}",
            lambda: metadata.listens(self.run("cat /proc/net/tcp")),
            within=60,
            explain=lambda: self.machine.log_tail(metadata.SERVICE),
        )

    def import_images(self, archives: Sequence[Path]) -> None:
        for archive in map(checked, archives):
            passed = self._etc / "import.tar"
            run("cp", "--reflink=auto", str(archive), str(passed))
            os.chown(passed, uml.user(self.spec), -1)
            try:
                self.run(f"ctr -n k8s.io images import {ETC}/import.tar", within=300)
            finally:
                passed.unlink()

    def _kernel(self) -> int:
        """The process that is the guest's kernel; its children are the guest's programs."""
        found = child_of(self.machine.pid())
        if found is None:
            raise ClusterError(f"{self.name} has no kernel: {self.machine.log_tail(uml.KERNEL)}")
        return found

    def _end_by(self, command: str, within: float) -> None:
        self.agent.tell(command)
        until(
            f"the end of {self.name}",
            lambda: not self.is_running(),
            within=within,
            explain=lambda: self.machine.log_tail(uml.KERNEL),
        )
        self.kill()  # its link is still there
