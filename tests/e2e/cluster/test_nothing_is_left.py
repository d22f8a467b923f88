"""However a cluster ends, the machine is as it was before."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from cluster import Cluster, PreconditionError
from cluster.addresses import RANGE
from cluster.machine import Machine
from cluster.node_config import KERNEL_TUNABLES
from cluster.processes import power_off
from cluster.records import Home, state_root

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

ID = "left"
HACK = Path(__file__).parents[3] / "hack" / "cluster"
WATCHED = ("/etc", "/etc/cni", "/opt", "/run", "/usr/libexec", "/var/lib", "/var/log")
SETTINGS = ("net/ipv4/ip_forward", "net/ipv4/conf/all/rp_filter", *KERNEL_TUNABLES)


def world() -> set[str]:
    """All that a cluster could leave behind, without what belongs to other clusters."""
    commands = {"link": ("ip", "-json", "link"), "route": ("ip", "-json", "-4", "route")}
    found = {
        kind: json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
        for kind, argv in commands.items()
    }
    links = {f"link {each['ifname']}" for each in found["link"]}
    routes = {f"route {each['dst']} {each['dev']}" for each in found["route"]}
    mounts = {f"mount {line.split()[4]}" for line in _lines("/proc/self/mountinfo")}
    groups = {f"cgroup {path}" for path in Path("/sys/fs/cgroup").glob("*/spot-*")}
    groups |= {f"cgroup {path}" for path in Path("/sys/fs/cgroup").glob("spot-*")}
    files = {f"file {path}" for place in WATCHED for path in Path(place).glob("*")}
    settings = {f"setting {name} {_lines(f'/proc/sys/{name}')}" for name in SETTINGS}
    tables = {f"table {line}" for line in _output("nft", "list", "tables").splitlines()}
    everything = links | routes | mounts | groups | files | settings | tables | _processes()
    return {each for each in everything if not _of_another_cluster(each)}


def _processes() -> set[str]:
    """Those that belong to a cluster: by their cgroup, or by what they were started with."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            group = (path / "cgroup").read_text()
            command = (path / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if f"/spot-{ID}" in group or f"/{ID}/" in command:
            found.add(f"process {path.name} {command}")
    return found


def _of_another_cluster(each: str) -> bool:
    kind, name = each.split()[:2]
    if kind == "route":
        return name != "default" and IPv4Network(name).subnet_of(RANGE) and f"spot-{ID}" not in each
    if kind in {"link", "cgroup"}:
        return "spot-" in name and f"spot-{ID}" not in name
    return False


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, check=True, text=True).stdout


def expect_same_world(before: set[str], until: Callable[..., None]) -> None:
    left: set[str] = set()

    def nothing_left() -> bool:
        left.clear()
        left.update(world() - before)
        return not left

    try:
        until("nothing is left", nothing_left, 10)
    except AssertionError:
        assert left == set()


@pytest.fixture(scope="module")
def before() -> set[str]:
    state_root(os.environ).mkdir(parents=True, exist_ok=True)
    return world()


def start(base: Path, nodes: str = "spot=1") -> subprocess.Popen[bytes]:
    """`hack/cluster up` as a person runs it."""
    return subprocess.Popen(
        [sys.executable, str(HACK), "up", "--id", ID, "--nodes", nodes, "--image", str(base)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )


def home() -> Home:
    return Home(state_root(os.environ), ID)


def end(command: subprocess.Popen[bytes], how: signal.Signals) -> int:
    command.send_signal(how)
    command.communicate(timeout=30)
    return command.returncode


def test_after_up_and_down(before: set[str], base: Path, until: Callable[..., None]) -> None:
    with Cluster.up(ID, nodes="spot=1", images=[base]) as cluster:
        during = world() - before
        kinds = {each.split()[0] for each in during}
        assert {"link", "route", "cgroup", "process"} <= kinds
        assert not {"setting", "table", "file"} & kinds
        directory = cluster.directory
    assert not directory.exists()
    expect_same_world(before, until)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_after_a_start_that_was_stopped(
    before: set[str], base: Path, until: Callable[..., None], how: signal.Signals
) -> None:
    command = start(base)
    until("the hub is on", Machine(home().hub).is_running)
    assert end(command, how) == 130
    assert not home().path.exists()
    expect_same_world(before, until)


def test_after_everything_was_killed(
    before: set[str], base: Path, until: Callable[..., None]
) -> None:
    command = start(base)
    node = Machine(home().nodes / "spot-a")
    until("the node is on", node.is_running)
    end(command, signal.SIGKILL)
    assert node.is_running()
    for machine in map(Machine, home().machines()):
        if machine.process is not None:
            power_off(machine.process)

    subprocess.run([sys.executable, str(HACK), "down", "--id", ID], check=True, timeout=60)

    assert not home().path.exists()
    expect_same_world(before, until)


def test_after_a_start_was_killed_amid_the_boot_of_a_kernel(
    before: set[str], base: Path, until: Callable[..., None]
) -> None:
    command = start(base, nodes="uml=1")
    machine = Machine(home().nodes / "uml-a")
    booting = machine.directory / "log" / "boot_id"
    until("its kernel runs", lambda: machine.is_running() and booting.exists(), 60)
    end(command, signal.SIGKILL)
    assert any("linux.uml" in each for each in world() - before)

    subprocess.run([sys.executable, str(HACK), "down", "--id", ID], check=True, timeout=60)

    assert not home().path.exists()
    expect_same_world(before, until)


def test_the_next_start_cleans_up_as_well(
    before: set[str], base: Path, until: Callable[..., None]
) -> None:
    command = start(base)
    until("the hub is on", Machine(home().hub).is_running)
    end(command, signal.SIGKILL)
    with Cluster.up(ID, nodes="spot=1") as cluster:
        assert cluster.node("spot-a").is_running()
    expect_same_world(before, until)


def test_after_a_control_plane_alone(before: set[str], until: Callable[..., None]) -> None:
    Cluster.api_only(ID)
    with pytest.raises(PreconditionError, match="--replace"):
        Cluster.api_only(ID)
    with Cluster.api_only(ID, replace=True) as cluster:
        assert "default" in cluster.kubectl("get", "namespaces")
        assert not any(each.startswith(("link", "route", "mount")) for each in world() - before)
    expect_same_world(before, until)
