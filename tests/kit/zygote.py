"""Starts Python programs in milliseconds: forks them off a process that has imported everything.

A sidecar's imports take a second, and campaigns start hundreds. What is forked is a process like
any other: with its own pid, environment, files and memory, and killed like any other.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]
_POLL_SECONDS = 0.002


@dataclass(slots=True)
class Child:
    """A program that the zygote started."""

    zygote: Zygote
    pid: int
    code: int | None = None

    def poll(self) -> int | None:
        """Its exit code (negative: the signal that ended it); None while it runs."""
        if self.code is None:
            self.code = self.zygote.ask({"poll": self.pid})["code"]
        return self.code

    def wait(self, seconds: float) -> int:
        """Its exit code, waited for; raises TimeoutError."""
        end = time.monotonic() + seconds
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise TimeoutError(f"process {self.pid} still runs after {seconds:g} s")
            time.sleep(_POLL_SECONDS)
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and reap."""
        self.signal(signal.SIGKILL)
        self.wait(10)


class Zygote:
    """The process to fork from; one request at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(
        self, program: str, argv: Sequence[str], *, env: Mapping[str, str], log: Path
    ) -> Child:
        """Run `module:function` with these arguments, in this environment and no other."""
        request: Json = {"program": program, "argv": list(argv), "env": dict(env), "log": str(log)}
        return Child(self, int(self.ask(request)["pid"]))

    def ask(self, request: Json) -> Json:
        """One request, one answer."""
        pipe, answers = self._process.stdin, self._process.stdout
        if pipe is None or answers is None:
            raise RuntimeError("the zygote has no pipes")
        pipe.write(json.dumps(request) + "\n")
        pipe.flush()
        line = answers.readline()
        if not line:
            raise RuntimeError("the zygote has ended")
        return dict(json.loads(line))


@contextlib.contextmanager
def a_zygote(*preloaded: str) -> Iterator[Zygote]:
    """A zygote that has imported these modules; at the end its children are killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "kit.zygote", *preloaded],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        },
    )
    with process:
        try:
            yield Zygote(process)
        finally:
            if process.stdin:
                process.stdin.close()
            process.wait(20)


def serve(preloaded: Sequence[str]) -> None:
    """Answer requests until the pipe is closed; then kill what still runs.

    Ctrl-C is for the process that asks: it closes the pipe.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for module in preloaded:
        importlib.import_module(module)
    running: set[int] = set()
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            answer: Json = {"code": _reap(request["poll"], running)}
        else:
            pid = os.fork()
            if pid == 0:
                _become(request)
            running.add(pid)
            answer = {"pid": pid}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in running:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _reap(pid: int, running: set[int]) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    if not found:
        return None
    running.discard(pid)
    return os.waitstatus_to_exitcode(status)


def _become(request: Json) -> None:
    """In the child: the program, and nothing of the zygote after it."""
    code = 1
    try:
        os.environ.clear()
        os.environ.update(request["env"])
        _redirect(Path(request["log"]))
        sys.argv = [request["program"], *request["argv"]]
        module, _, name = request["program"].partition(":")
        program: Callable[[], object] = getattr(importlib.import_module(module), name)
        program()
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # noqa: BLE001 - whatever it is, it goes into the program's own log
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _redirect(log: Path) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)


if __name__ == "__main__":
    serve(sys.argv[1:])
