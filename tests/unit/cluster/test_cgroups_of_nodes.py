"""Groups are made in every tree, usable by kubelets, and removed to the last."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster.cgroups import Cgroups, hierarchies
from cluster.errors import ClusterError

MOUNTS = """\
tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
proc /proc proc rw 0 0
"""


@pytest.fixture
def v1(tmp_path: Path) -> list[Path]:
    roots = [tmp_path / name for name in ("memory", "cpuset")]
    for root in roots:
        root.mkdir()
    (tmp_path / "cpuset" / "cpuset.cpus").write_text("0-1\n")
    return roots


def test_every_tree_is_found() -> None:
    assert [path.name for path in hierarchies(MOUNTS)] == ["memory", "systemd", "unified"]


def test_a_node_has_its_group_in_every_tree(v1: list[Path]) -> None:
    assert Cgroups("spot-t", v1).kubelet_root("node") == "/spot-t/node"
    assert all((root / "spot-t" / "node").is_dir() for root in v1)


def test_programs_join_by_the_files_given(v1: list[Path]) -> None:
    files = Cgroups("spot-t", v1).create("system")
    assert files == tuple(str(root / "spot-t/system/cgroup.procs") for root in v1)


def test_version_2_hands_down_what_containers_need(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu hugetlb memory pids\n")
    Cgroups("spot-t", [tmp_path]).create("system")
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"


def test_removal_takes_all_levels_and_can_be_repeated(v1: list[Path]) -> None:
    groups = Cgroups("spot-t", v1)
    groups.kubelet_root("node")
    (v1[0] / "spot-t" / "node" / "kubepods" / "pod1").mkdir(parents=True)
    groups.remove()
    groups.remove()
    assert [path.name for root in v1 for path in root.iterdir()] == ["cpuset.cpus"]


def test_one_node_is_removed_alone(v1: list[Path]) -> None:
    groups = Cgroups("spot-t", v1)
    for node in ("one", "two"):
        groups.kubelet_root(node)
    groups.remove("one")
    assert {path.name for path in (v1[0] / "spot-t").iterdir()} == {"two"}


def test_a_group_in_use_is_named(v1: list[Path]) -> None:
    groups = Cgroups("spot-t", v1)
    groups.kubelet_root("node")
    (v1[0] / "spot-t" / "node" / "in-use").write_text("")
    with pytest.raises(ClusterError, match="spot-t is still in use"):
        groups.remove(within=0.1)
