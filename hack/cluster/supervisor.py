"""The first process of a machine: waits for its wiring, sets up, keeps its services running.

Stands alone (it is run by path, with the standard library only), because it is process 1 of the
machine's namespaces: what it cannot do, nobody there does. It is started with a pipe as standard
input and does nothing before a line `go` arrives; if its starter dies first, it ends, so no
machine runs that nobody recorded.

`<directory>/machine.json` says what to run (`machine.Spec`). On SIGHUP it is read again: services
that changed or went are killed, new ones started; then `<directory>/applied` holds its
generation. Services that end are started again after a second, as an init system does; with one
that `is_machine` this program ends, and so do the namespaces.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESTART_AFTER = 1.0
"""Seconds before a service that ended is started again."""
_SIGNALS = {signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM}


@dataclass
class Service:
    """One program that should run. `pid` is 0 while it does not."""

    definition: dict[str, Any]
    pid: int = 0
    not_before: float = 0.0

    def due(self) -> bool:
        after = self.definition["after"]
        waiting = after and not Path(after).exists()
        return not self.pid and time.monotonic() >= self.not_before and not waiting

    def start(self, logs: Path, env: dict[str, str]) -> None:
        log = str(logs / f"{self.definition['name']}.log")
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        argv = self.definition["argv"]
        self.pid = os.posix_spawnp(
            argv[0],
            argv,
            {**env, **self.definition["env"]},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsigmask=[],
            setsigdef=[signal.SIGPIPE],
        )

    def kill(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0


class Supervisor:
    """The services of one machine."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.spec: dict[str, Any] = {}
        self.services: dict[str, Service] = {}
        self.is_off = False

    def load(self) -> None:
        """Make the set of services the one that the file names."""
        self.spec = json.loads((self.directory / "machine.json").read_text())
        wanted = {each["name"]: each for each in self.spec["services"]}
        for name, service in list(self.services.items()):
            if wanted.get(name) != service.definition:
                service.kill()
                del self.services[name]
                say(f"stopped {name}")
        for name, definition in wanted.items():
            self.services.setdefault(name, Service(definition))
        self.start_due()
        (self.directory / "applied").write_text(str(self.spec["generation"]))

    def start_due(self) -> None:
        for name, service in self.services.items():
            if not service.due():
                continue
            try:
                service.start(self.directory / "log", self.spec["env"])
                say(f"started {name}")
            except OSError as error:
                service.not_before = time.monotonic() + RESTART_AFTER
                say(f"{name} cannot be started: {error}")

    def reap(self) -> None:
        """Collect whatever ended; orphans of the whole machine come to process 1 too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.note_end(pid, os.waitstatus_to_exitcode(status))

    def note_end(self, pid: int, code: int) -> None:
        for name, service in self.services.items():
            if service.pid == pid:
                service.pid = 0
                service.not_before = time.monotonic() + RESTART_AFTER
                say(f"{name} ended with status {code}")
                self.is_off = self.is_off or service.definition["is_machine"]

    def run(self) -> None:
        """Until SIGTERM, or until the service ends that is the machine."""
        self.load()
        while not self.is_off:
            got = signal.sigtimedwait(_SIGNALS, 0.2)
            if got is not None and got.si_signo == signal.SIGTERM:
                break
            if got is not None and got.si_signo == signal.SIGHUP:
                self.load()
            self.reap()
            self.start_due()
        for service in self.services.values():
            service.kill()


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def main(directory: Path) -> int:
    os.chdir("/")
    if sys.stdin.readline() != "go\n":
        say("never wired")
        return 1
    spec = json.loads((directory / "machine.json").read_text())
    for group in spec["cgroups"]:
        Path(group).write_text("0")
    if spec["setup"]:
        done = subprocess.run(["sh", "-exc", spec["setup"]], env=spec["env"], check=False)
        if done.returncode:
            say("the machine could not be set up; see the lines above")
            return 1
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    Supervisor(directory).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
