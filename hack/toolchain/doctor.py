"""What this machine lacks for the local cluster and the image builds, and how to mend it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from .binaries import required
from .cgroups import CgroupVersion, cgroup_version
from .commands import succeeds
from .golang import MINIMUM, checksum_notes, go_on_path
from .layout import Cache
from .packages import PACKAGES
from .wheels import GO_WHEEL, has_venv

NEEDED_DISK_BYTES = 16_000_000_000
"""Go's caches take 11 GB after a cold build, programs 1 GB, images and their layers 2 GB."""
NEEDED_MEMORY_BYTES = 6_000_000_000
"""Linking kube-apiserver takes 2.4 GB (measured); a cluster of four nodes with a job about 3 GB."""


class State(Enum):
    OK = "ok"
    NOTE = "note"
    MISSING = "missing"


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `remedy` is what to do; only a MISSING one must have it."""

    subject: str
    state: State
    detail: str
    remedy: str = ""


def examine(cache: Cache) -> list[Finding]:
    """Look at everything; changes nothing that outlives the call."""
    return [*_rights(), *_packages(), *_compiler(), *_programs(cache), *_kernel(), *_room(cache)]


def report(findings: list[Finding]) -> str:
    """The findings as a table, and what to do below it."""
    width = max(len(finding.subject) for finding in findings)
    rows = [f"{f.state.value:8}{f.subject:{width}}  {f.detail}" for f in findings]
    remedies = dict.fromkeys(f.remedy for f in findings if f.state is State.MISSING)
    todo = ["", "To do:", *(f"  - {remedy}" for remedy in remedies)] if remedies else []
    return "\n".join([*rows, *todo])


def healthy(findings: list[Finding]) -> bool:
    return all(finding.state is not State.MISSING for finding in findings)


def _need(subject: str, fine: bool, detail: str, remedy: str) -> Finding:  # noqa: FBT001
    return Finding(subject, State.OK if fine else State.MISSING, detail, remedy)


def _rights() -> Iterator[Finding]:
    root = os.geteuid() == 0
    yield _need(
        "root", root, "yes" if root else "no", "run as root (nodes need mounts and networks)"
    )


def _packages() -> Iterator[Finding]:
    for package in PACKAGES:
        found = package.present()
        detail = package.purpose if found else f"not found: {package.purpose}"
        yield _need(package.name, found, detail, "python3 hack/toolchain packages   (as root)")


def _compiler() -> Iterator[Finding]:
    wanted = ".".join(str(part) for part in MINIMUM)
    go = go_on_path()
    if go is not None:
        version = ".".join(str(part) for part in go.version)
        yield Finding("go", State.OK, f"{version} at {go.program}")
    else:
        yield _need(
            "go",
            has_venv(),
            f"none on PATH from {wanted} on: the wheel {GO_WHEEL.name} {GO_WHEEL.version} will do",
            "python3 hack/toolchain packages   (as root)",
        )
    for note in checksum_notes(os.environ):
        yield Finding("go checksums", State.NOTE, note)


def _programs(cache: Cache) -> Iterator[Finding]:
    for binary in required():
        built = binary.is_built(cache)
        detail = binary.version if built else f"{binary.version} is not built, or by other flags"
        yield _need(binary.name, built, detail, "python3 hack/toolchain build")


def _kernel() -> Iterator[Finding]:
    yield cgroup_finding(cgroup_version(Path("/proc/self/mounts").read_text()))
    yield _need(
        "overlayfs",
        "\toverlay\n" in Path("/proc/filesystems").read_text(),
        "file system of containers",
        "a kernel with overlayfs (modprobe overlay)",
    )
    if os.geteuid() != 0:
        yield Finding("kernel networking", State.NOTE, "cannot be tried out without root")
        return
    installed = {package.name for package in PACKAGES if package.present()}
    for subject, program, script, remedy in _NETWORK_TRIALS:
        if program not in installed:
            yield Finding(subject, State.NOTE, f"cannot be tried out before {program} is there")
            continue
        works = succeeds(["unshare", "--net", "sh", "-ec", script])
        yield _need(subject, works, "tried out in a namespace of its own", remedy)


_NETWORK_TRIALS = (
    (
        "bridge and veth",
        "iproute2",
        "ip link add b0 type bridge; ip link add v0 master b0 type veth peer name v1",
        "a kernel with bridge and veth, and a container that may use them",
    ),
    (
        "kernel nftables",
        "nftables",
        (
            "nft add table ip t;"
            "nft add chain ip t c '{ type nat hook postrouting priority 100; }';"
            "nft add rule ip t c masquerade"
        ),
        "a kernel with nf_tables and its NAT (modprobe nf_tables nft_nat nft_masq)",
    ),
    (
        "kernel iptables",
        "iptables",
        "iptables -t nat -A POSTROUTING -m comment --comment trial -j MASQUERADE",
        "a kernel that iptables' NAT works on (modprobe nft_compat xt_comment xt_MASQUERADE)",
    ),
)


def cgroup_finding(version: CgroupVersion) -> Finding:
    """Version 1 is what the tests run on; version 2 is coded for, and nobody has tried it."""
    if version is CgroupVersion.V1:
        return Finding("cgroups", State.OK, "v1: the version that this project is tested on")
    if version is CgroupVersion.V2:
        return Finding("cgroups", State.NOTE, "v2: the code is there, but it has not been tested")
    return Finding(
        "cgroups", State.MISSING, "none mounted", "mount the cgroup controllers at /sys/fs/cgroup"
    )


def _room(cache: Cache) -> Iterator[Finding]:
    existing = next(path for path in [cache.root, *cache.root.parents] if path.exists())
    complete = all(binary.is_built(cache) for binary in required())
    needed = NEEDED_DISK_BYTES // 4 if complete else NEEDED_DISK_BYTES
    free = shutil.disk_usage(existing).free
    room = f"{free / 1e9:.0f} GB free at {existing}, {needed / 1e9:.0f} GB wanted"
    yield _need("disk", free >= needed, room, "free some disk, or set SPOT_CACHE to a larger one")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    size = f"{memory / 1e9:.0f} GB, {NEEDED_MEMORY_BYTES / 1e9:.0f} GB wanted"
    yield _need("memory", memory >= NEEDED_MEMORY_BYTES, size, "a machine with more memory")
