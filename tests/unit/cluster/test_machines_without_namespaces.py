"""A machine's supervisor keeps services running, takes changes, and never runs unrecorded."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cluster.machine import SUPERVISOR, WITHOUT_NAMESPACES, Machine, Service, Spec, base_env
from cluster.processes import Process, boot_id, identify, power_off


def expect(condition: Callable[[], bool], within: float = 10) -> None:
    limit = time.monotonic() + within
    while not condition():
        assert time.monotonic() < limit, "the condition was not met in time"
        time.sleep(0.01)


def appending(name: str, file: Path, then: str = "exec sleep 60", after: str = "") -> Service:
    return Service(name, ("sh", "-c", f"echo {name} >> {file}; {then}"), after=after)


def lines(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "m")
    yield machine
    machine.power_off()


def spec_of(*services: Service, setup: str = "") -> Spec:
    return Spec(services, base_env(Path("/nowhere"), Path("/tmp")), setup)


def test_services_run_and_end_with_the_machine(machine: Machine, tmp_path: Path) -> None:
    said = tmp_path / "said"
    service = appending("one", said, then="echo $$ > " + str(tmp_path / "pid") + "; exec sleep 60")
    machine.start(spec_of(service), WITHOUT_NAMESPACES)
    expect(lambda: bool(lines(tmp_path / "pid")))
    process = identify(int(lines(tmp_path / "pid")[0]))
    assert machine.is_running()
    assert process.is_alive()

    machine.power_off()

    assert not machine.is_running()
    assert not process.is_alive()


def test_a_machine_is_off_when_the_service_ends_that_is_the_machine(
    machine: Machine, tmp_path: Path
) -> None:
    kernel = Service(
        "kernel", ("sh", "-c", f"echo on >> {tmp_path}/on; sleep 0.5"), is_machine=True
    )
    beside = appending("beside", tmp_path / "said", then=f"echo $$ > {tmp_path}/pid; exec sleep 60")
    machine.start(spec_of(beside, kernel), WITHOUT_NAMESPACES)
    expect(lambda: bool(lines(tmp_path / "pid")))
    other = identify(int(lines(tmp_path / "pid")[0]))

    expect(lambda: not machine.is_running())

    assert not other.is_alive()
    assert lines(tmp_path / "on") == ["on"]


def test_setup_comes_first_and_its_failure_ends_the_machine(
    machine: Machine, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    broken = spec_of(appending("one", said), setup=f"echo setup >> {said}; false")
    machine.start(broken, WITHOUT_NAMESPACES)
    expect(lambda: not machine.is_running())
    assert lines(said) == ["setup"]
    assert "could not be set up" in machine.log_tail("supervisor")


def test_a_service_that_ends_is_started_again(machine: Machine, tmp_path: Path) -> None:
    said = tmp_path / "said"
    machine.start(spec_of(appending("one", said, then="exit 3")), WITHOUT_NAMESPACES)
    expect(lambda: len(lines(said)) >= 2)
    assert "one ended with status 3" in machine.log_tail("supervisor")


def test_a_program_that_is_missing_does_not_end_the_others(
    machine: Machine, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    missing = Service("missing", ("no-such-program",))
    machine.start(spec_of(missing, appending("one", said)), WITHOUT_NAMESPACES)
    expect(lambda: lines(said) == ["one"])
    expect(lambda: "missing cannot be started" in machine.log_tail("supervisor"))
    assert machine.is_running()


def test_a_service_waits_for_what_it_needs(machine: Machine, tmp_path: Path) -> None:
    said, needed = tmp_path / "said", tmp_path / "socket"
    later = appending("later", said, after=str(needed))
    machine.start(spec_of(later, appending("first", said)), WITHOUT_NAMESPACES)
    expect(lambda: lines(said) == ["first"])
    needed.touch()
    expect(lambda: lines(said) == ["first", "later"])


def test_only_services_that_changed_are_started_again(machine: Machine, tmp_path: Path) -> None:
    said = tmp_path / "said"
    kept, changed, gone = (appending(name, said) for name in ("kept", "changed", "gone"))
    machine.start(spec_of(kept, changed, gone), WITHOUT_NAMESPACES)
    expect(lambda: len(lines(said)) == 3)

    machine.reconfigure([kept, replace(changed, env={"NEW": "1"}), appending("new", said)])

    expect(lambda: len(lines(said)) == 5)
    assert sorted(lines(said)[3:]) == ["changed", "new"]
    assert "stopped gone" in machine.log_tail("supervisor")


def test_machines_get_nothing_of_what_the_caller_has_open(machine: Machine, tmp_path: Path) -> None:
    """`flock FILE hack/cluster up` lets go of the file when the command is done."""
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(lock, True)
    try:
        machine.start(spec_of(appending("one", tmp_path / "said")), WITHOUT_NAMESPACES)
    finally:
        os.close(lock)
    expect(lambda: lines(tmp_path / "said") == ["one"])
    opened = {str(each.readlink()) for each in Path(f"/proc/{machine.pid()}/fd").iterdir()}
    assert str(tmp_path / "lock") not in opened


def test_services_see_nothing_of_the_callers_environment(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://192.0.2.9")
    shown = tmp_path / "env"
    service = Service("one", ("sh", "-c", f"env > {shown}.new; mv {shown}.new {shown}; sleep 60"))
    machine.start(spec_of(service), WITHOUT_NAMESPACES)
    expect(shown.exists)
    text = shown.read_text()
    assert "HTTPS_PROXY" not in text
    assert "AWS_EC2_METADATA_DISABLED=true" in text


def test_a_machine_whose_starter_died_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    supervisor = [sys.executable, "-I", str(SUPERVISOR), str(tmp_path)]
    done = subprocess.run(supervisor, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"never wired" in done.stdout


def test_a_number_used_again_is_not_mistaken_for_ours() -> None:
    ours = identify(os.getpid())
    earlier = replace(ours, started=ours.started - 1)
    assert ours.is_alive()
    assert not earlier.is_alive()
    power_off(earlier)


def test_numbers_of_an_earlier_boot_mean_nothing() -> None:
    ours = identify(os.getpid())
    assert ours.boot == boot_id()
    before = Process(ours.pid, ours.started, "another boot")
    assert not before.is_alive()
    power_off(before)
