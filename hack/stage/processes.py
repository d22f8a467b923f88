"""Killing one container's process from outside, as the kernel or a bug does."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def sigkill(pod_uid: str, words: str) -> int:
    """SIGKILL the process of that pod whose command line holds `words`; returns its id here.

    The pod's cgroup tells its processes from all others. Raises ProcessLookupError when none is
    there.
    """
    for found in Path("/proc").glob("[0-9]*"):
        if _belongs(found, pod_uid, words):
            os.kill(int(found.name), signal.SIGKILL)
            return int(found.name)
    raise ProcessLookupError(f"pod {pod_uid} has no process {words!r}")


def _belongs(process: Path, pod_uid: str, words: str) -> bool:
    try:
        cgroups = (process / "cgroup").read_text()
        command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:  # it ended while we looked
        return False
    return f"pod{pod_uid}" in cgroups and words in command
