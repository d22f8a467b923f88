"""A machine: one process tree in namespaces of its own, so that a power cut is one signal.

`unshare --net --mount --pid --fork --mount-proc --kill-child` runs `supervisor.py` as process 1;
SIGKILL ends everything in it at once, and with it go its mounts, links, routes and firewall
rules. Only its directory stays, which is its disk.

Standing on the disk:
    machine.json   what to run                 process.json   who runs it, by number and start time
    applied        generation that is in force log/           one file per service
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from .errors import ClusterError, NotReadyError
from .files import write_atomically
from .processes import Process, child_of, identify, power_off, spawn

NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
WITH_NETWORK = ("unshare", "--net", *NAMESPACES[1:])
WITHOUT_NAMESPACES: tuple[str, ...] = ()
"""For machines of a user who is not root."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SUPERVISOR = Path(__file__).resolve().with_name("supervisor.py")


@dataclass(frozen=True)
class Service:
    """One program of a machine.

    `after` is a path that has to exist before it is started. `is_machine`: when it ends, the whole
    machine is off; other services are started again.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    after: str = ""
    is_machine: bool = False


@dataclass(frozen=True)
class Spec:
    """What a machine runs. `setup` is a shell script that comes first; `cgroups` are joined."""

    services: tuple[Service, ...]
    env: Mapping[str, str]
    setup: str = ""
    cgroups: tuple[str, ...] = ()
    generation: int = 1


def base_env(programs: Path, home: Path) -> dict[str, str]:
    """Nothing of the caller's environment gets in: no proxies, no credentials."""
    return {
        "PATH": f"{programs}:{PATH}",
        "HOME": str(home),
        "TMPDIR": str(home),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


class Machine:
    """The machine whose disk is `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def process(self) -> Process | None:
        """Process 1 of the machine as this host sees it, alive or not; None if never started."""
        return self._recorded("process")

    def is_running(self) -> bool:
        process = self.process
        return process is not None and process.is_alive()

    def pid(self) -> int:
        """Process 1 of the running machine; raises `ClusterError` when it is off."""
        process = self.process
        if process is None or not process.is_alive():
            raise ClusterError(f"machine {self.name} is off")
        return process.pid

    def start(
        self, spec: Spec, isolation: tuple[str, ...], wire: Callable[[int], None] | None = None
    ) -> None:
        """Start it; `wire` gets the pid of process 1 and connects it before anything runs."""
        (self.directory / "log").mkdir(parents=True, exist_ok=True)
        self._write(spec)
        reader, writer = os.pipe()
        try:
            self._launch(spec, isolation, reader)
            if wire is not None:
                wire(self.pid())
            os.write(writer, b"go\n")
        finally:
            os.close(reader)
            os.close(writer)

    def _launch(self, spec: Spec, isolation: tuple[str, ...], stdin: int) -> None:
        supervisor = (sys.executable, "-I", str(SUPERVISOR), str(self.directory))
        log = self.directory / "log" / "supervisor.log"
        outer = spawn([*isolation, *supervisor], stdin=stdin, log=log, env=spec.env)
        self._record("launcher", identify(outer))
        inner = self._first_child(outer) if isolation else outer
        self._record("process", identify(inner))

    def _first_child(self, outer: int, within: float = 10) -> int:
        limit = time.monotonic() + within
        while (found := child_of(outer)) is None:
            if time.monotonic() > limit or not identify(outer).is_alive():
                raise NotReadyError(f"{self.name}: no namespaces\n{self.log_tail('supervisor')}")
            time.sleep(0.01)
        return found

    def power_off(self) -> None:
        """Cut its power: SIGKILL to process 1, and so to all of it. Fine when it is off."""
        for which in ("process", "launcher"):
            process = self._recorded(which)
            if process is not None:
                power_off(process)

    def spec(self) -> Spec:
        raw = json.loads((self.directory / "machine.json").read_text())
        raw["services"] = tuple(
            Service(**{**each, "argv": tuple(each["argv"])}) for each in raw["services"]
        )
        return Spec(**{**raw, "cgroups": tuple(raw["cgroups"])})

    def reconfigure(self, services: Iterable[Service], within: float = 10) -> None:
        """Run these services from now on; those that changed are killed and started again."""
        old = self.spec()
        new = replace(old, services=tuple(services), generation=old.generation + 1)
        self._write(new)
        os.kill(self.pid(), signal.SIGHUP)
        limit = time.monotonic() + within
        applied = self.directory / "applied"
        while applied.read_text() != str(new.generation):
            if time.monotonic() > limit:
                raise NotReadyError(f"{self.name}: new services were not taken up in {within} s")
            time.sleep(0.01)

    def log_tail(self, service: str, lines: int = 15) -> str:
        """The end of a service's log, for messages."""
        path = self.directory / "log" / f"{service}.log"
        if not path.exists():
            return f"(no {path})"
        return "\n".join([f"{path}:", *path.read_text(errors="replace").splitlines()[-lines:]])

    def _write(self, spec: Spec) -> None:
        write_atomically(self.directory / "machine.json", json.dumps(asdict(spec), indent=1))

    def _record(self, which: str, process: Process) -> None:
        write_atomically(self.directory / f"{which}.json", json.dumps(asdict(process)))

    def _recorded(self, which: str) -> Process | None:
        path = self.directory / f"{which}.json"
        return Process(**json.loads(path.read_text())) if path.exists() else None
