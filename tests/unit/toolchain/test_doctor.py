"""What the doctor says of a machine."""

from __future__ import annotations

import pytest
from toolchain.cgroups import CgroupVersion, cgroup_version
from toolchain.doctor import Finding, State, cgroup_finding, healthy, report
from toolchain.progress import clock_text

PURE_V1 = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"
HYBRID = PURE_V1 + "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
UNIFIED = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n"


@pytest.mark.parametrize(
    ("mounts", "version", "state", "said"),
    [
        (PURE_V1, CgroupVersion.V1, State.OK, "v1: the version that this project is tested on"),
        (HYBRID, CgroupVersion.V1, State.OK, "tested on"),
        (
            UNIFIED,
            CgroupVersion.V2,
            State.NOTE,
            "v2: the code is there, but it has not been tested",
        ),
        ("proc /proc proc rw 0 0\n", CgroupVersion.NONE, State.MISSING, "none mounted"),
    ],
)
def test_the_cgroup_version_in_use_is_told(
    mounts: str, version: CgroupVersion, state: State, said: str
) -> None:
    assert cgroup_version(mounts) is version
    finding = cgroup_finding(version)
    assert finding.state is state
    assert said in finding.detail


def test_a_machine_is_healthy_with_notes_but_not_with_gaps() -> None:
    fine = Finding("go", State.OK, "1.26.8")
    note = Finding("cgroups", State.NOTE, "v2")
    gap = Finding("runc", State.MISSING, "not found", "install runc")
    assert healthy([fine, note])
    assert not healthy([fine, note, gap])


def test_a_remedy_is_named_once_and_only_when_needed() -> None:
    gaps = [Finding(name, State.MISSING, "not found", "install it") for name in ("runc", "socat")]
    fine = Finding("go", State.OK, "1.26.8", "install go")
    text = report([*gaps, fine])
    assert text.count("  - install it") == 1
    assert "install go" not in text
    assert "To do" not in report([fine])


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min 00 s"), (281, "4 min 41 s")]
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text
