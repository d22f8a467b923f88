"""Which cgroup version this machine uses, read from its mount table."""

from __future__ import annotations

from enum import Enum


class CgroupVersion(Enum):
    """V1 includes the hybrid layout, where every controller is still on version 1."""

    V1 = "v1"
    V2 = "v2"
    NONE = "none"


def cgroup_version(mounts: str) -> CgroupVersion:
    """From the text of /proc/self/mounts; V2 only where /sys/fs/cgroup itself is version 2."""
    rows = [line.split() for line in mounts.splitlines() if line.strip()]
    kinds = [(row[1], row[2]) for row in rows if len(row) >= 3]
    if ("/sys/fs/cgroup", "cgroup2") in kinds:
        return CgroupVersion.V2
    if any(kind == "cgroup" for _, kind in kinds):
        return CgroupVersion.V1
    return CgroupVersion.NONE
