"""What the parts of one cluster share: its directory, its record, its hub and its images."""

from __future__ import annotations

import json
import os
from pathlib import Path

from toolchain.layout import cache_from

from .cgroups import Cgroups
from .files import write_atomically
from .images import ImageStore, sandbox_image
from .kubectl import Kubectl
from .machine import Machine
from .pki import Authority
from .records import Home, Record


class Site:
    """One cluster's own things. Makes nothing by itself."""

    def __init__(self, home: Home, record: Record) -> None:
        self.home = home
        self.record = record
        self.hub = Machine(home.hub)
        self.kubectl = Kubectl(home.kubeconfig)
        self.cgroups = Cgroups(f"spot-{home.id}")

    @property
    def authority(self) -> Authority:
        return Authority(self.home.pki)

    @property
    def sandbox(self) -> str:
        return sandbox_image(cache_from(os.environ).images)[0]

    @property
    def store(self) -> ImageStore:
        return ImageStore(self.home.images, self.cgroups.create("system"))

    def images_missing_in(self, machine: Machine) -> list[Path]:
        """The archives that the store has and the node's disk does not."""
        had = json.loads(self._images_of(machine).read_text())
        return [Path(path) for path in self.store.archives if path not in had]

    def note_images(self, machine: Machine) -> None:
        """Remember that the node's disk holds all that the store has."""
        write_atomically(self._images_of(machine), json.dumps(self.store.archives))

    def _images_of(self, machine: Machine) -> Path:
        return machine.directory / "disk" / "archives.json"
