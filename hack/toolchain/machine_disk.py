"""The disk that machines with a kernel of their own start from: a Debian with a node's programs.

user-mode-linux is a Linux kernel that runs as an ordinary program, so such a machine needs neither
KVM nor rights. Its disk holds systemd, containerd, runc, kubelet, kube-proxy, the metadata mock
and the files under `uml/`; nothing of one cluster or node. `hack/cluster` gives each node a sparse
copy.

Made in two steps, each kept under a digest of its inputs: the system (debootstrap, the slow one),
and the disk, which is made again when a program or a file of ours changed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .binaries import named
from .build import empty_folder
from .commands import Step, in_own_namespaces, need_root, perform
from .debian_root import TRIMMED, codename, debootstrap, trim
from .errors import MissingError
from .layout import HERE, Cache
from .locking import exclusive
from .progress import say

RECIPE = "1"
"""Raise it when the disk must be made again though nothing below changed."""

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "util-linux", "mount", "procps", "kmod"),
    *("iproute2", "iptables", "conntrack", "socat"),
    *("containernetworking-plugins", "runc", "ca-certificates"),
)
PROGRAMS = (
    *("containerd", "containerd-shim-runc-v2", "ctr"),
    *("kubelet", "kube-proxy", "ec2-metadata-mock"),
)
MODULES = Path("/usr/lib/uml/modules")
"""The kernel's modules, in one folder named after its version; the package user-mode-linux."""
FILES = HERE / "uml"
SIZE = "6G"
"""What the machine may fill; the file is sparse."""

ENABLED = (
    *("node-setup", "node-agent", "containerd", "kubelet", "kube-proxy", "ec2-metadata-mock"),
)
MASKED = (
    *("systemd-timesyncd.service", "systemd-resolved.service", "systemd-networkd.service"),
    *("getty@tty1.service", "getty-static.service", "e2scrub_reap.service"),
    *("modprobe@.service", "systemd-firstboot.service", "systemd-update-utmp.service"),
    *("dev-hugepages.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount"),
    *("cni-dhcp.service", "cni-dhcp.socket", "systemd-pstore.service"),
    *("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "fstrim.timer"),
    *("dpkg-db-backup.timer", "systemd-tmpfiles-clean.timer"),
)
"""Units that would only cost time; a wrong clock must stay wrong as well."""


@dataclass(frozen=True)
class _Inputs:
    """What decides the two things that are made."""

    system: str
    disk: str


def machine_disk(cache: Cache) -> Path:
    """The disk, made now if missing. Raises `MissingError` without root, packages or programs."""
    if (found := current_disk(cache)) is not None:
        say(f"machine disk: there is one of these inputs, {_used(found)}")
        return found
    need_root("making the machine disk (debootstrap)")
    with exclusive(cache.lock("machine-disk"), say):
        if (found := current_disk(cache)) is None:
            found = _make(_inputs(), cache)
    say(f"machine disk: {_used(found)}")
    return found


def current_disk(cache: Cache) -> Path | None:
    """The disk made of today's inputs, if there is one; raises `MissingError` without a kernel."""
    disk = _disk(cache, _inputs())
    return disk if disk.is_file() else None


def _disk(cache: Cache, inputs: _Inputs) -> Path:
    return cache.machines / f"disk-{inputs.disk}.ext4"


def _inputs() -> _Inputs:
    system = _digest([RECIPE, codename(), os.uname().machine, repr(PACKAGES), repr(TRIMMED)])
    files = [f"{path.relative_to(FILES)}\0{path.read_text()}" for path in _files()]
    recipes = [named(name).recipe() for name in PROGRAMS]
    units = [repr(ENABLED), repr(MASKED), SIZE]
    return _Inputs(system, _digest([system, _kernel_version(), *recipes, *units, *files]))


def _files() -> list[Path]:
    return sorted(path for path in FILES.rglob("*") if path.is_file())


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _kernel_version() -> str:
    found = sorted(MODULES.glob("*"))
    if not found:
        raise MissingError("user-mode-linux is missing; run: python3 hack/toolchain packages")
    return found[-1].name


def _make(inputs: _Inputs, cache: Cache) -> Path:
    cache.machines.mkdir(parents=True, exist_ok=True)
    system = cache.machines / f"system-{inputs.system}"
    if not system.is_dir():
        fresh = empty_folder(cache.scratch("machine-system")) / "root"
        debootstrap(fresh, PACKAGES, label="machine's system", expected=65, cache=cache)
        trim(fresh)
        fresh.replace(system)
    disk = _disk(cache, inputs)
    scratch = empty_folder(cache.scratch("machine-disk"))
    _lay_out(scratch / "added", cache)
    _write_disk(scratch, system, cache)
    (scratch / "disk").replace(disk)
    shutil.rmtree(scratch)
    for old in cache.machines.iterdir():
        if old not in {disk, system}:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    return disk


def _lay_out(root: Path, cache: Cache) -> None:
    """What comes on top of the system, as a tree beside it."""
    shutil.copytree(FILES, root)
    version = _kernel_version()
    # /lib is a link in the system, and a folder here would hide it.
    shutil.copytree(MODULES / version, root / "usr/lib/modules" / version)
    programs = root / "usr/local/bin"
    programs.mkdir()
    for name in PROGRAMS:
        if not named(name).is_built(cache):
            raise MissingError(f"{name} is not built; run: python3 hack/toolchain build")
        shutil.copy2(named(name).program(cache), programs / name)
    _link_units(root / "etc/systemd/system")
    _choose_iptables(root / "etc/alternatives")
    # systemd makes one at the first boot, so every node has its own.
    (root / "etc/machine-id").write_text("uninitialized\n")


def _link_units(units: Path) -> None:
    wanted = units / "multi-user.target.wants"
    wanted.mkdir()
    for name in ENABLED:
        (wanted / f"{name}.service").symlink_to(f"/etc/systemd/system/{name}.service")
    for name in MASKED:
        (units / name).symlink_to("/dev/null")
    (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")


def _choose_iptables(alternatives: Path) -> None:
    """This kernel has no nf_tables for IPv4."""
    alternatives.mkdir()
    for family in ("iptables", "ip6tables"):
        for suffix in ("", "-restore", "-save"):
            link = alternatives / f"{family}{suffix}"
            link.symlink_to(f"/usr/sbin/{family}-legacy{suffix}")


def _write_disk(scratch: Path, system: Path, cache: Cache) -> None:
    """An ext4 with both trees in it: nothing is mounted on this machine, nothing copied twice."""
    for folder in ("work", "root"):
        (scratch / folder).mkdir()
    layers = f"lowerdir={system},upperdir={scratch}/added,workdir={scratch}/work"
    script = (
        f"mount -t overlay overlay -o {layers} {scratch}/root;"
        f"truncate -s {SIZE} {scratch}/disk; mkfs.ext4 -q -F -d {scratch}/root {scratch}/disk"
    )
    step = Step("machine's disk", in_own_namespaces(["sh", "-ec", script]), 10)
    perform(step, cache.logs / "machine-disk.log")


def _used(disk: Path) -> str:
    return f"{disk.stat().st_blocks * 512 / 1e6:.0f} MB"
