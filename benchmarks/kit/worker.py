"""A process that does what it is told: one JSON object a line, in and out.

What is measured runs in processes of its own, so that imports, memory and locks of one method are
not another's. Standard output belongs to the protocol; whatever else is printed goes to the log.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]
PATIENCE_SECONDS = 300.0
"""No single thing that a worker is told takes longer."""
END_SECONDS = 10.0


class WorkerFailedError(RuntimeError):
    """The worker ended, or said that something went wrong; the end of its log is in the message."""


@dataclass(slots=True)
class Worker:
    """The other end of a running worker."""

    process: subprocess.Popen[str]
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def ask(self, task: str, **given: Any) -> Json:
        """Tell it to do something, and wait for what it found."""
        self.tell(task, **given)
        return self.answer()

    def tell(self, task: str, **given: Any) -> None:
        """Tell it to do something; `answer` waits for it."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"task": task, "given": given}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._failed("it has ended") from None

    def answer(self, seconds: float = PATIENCE_SECONDS) -> Json:
        """What it found.

        Raises:
            WorkerFailedError: it ended, failed, or took longer than `seconds`.
        """
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(self.process.stdout, selectors.EVENT_READ)
            if not waiting.select(seconds):
                raise self._failed(f"it did not answer within {seconds:g} s")
        line = self.process.stdout.readline()
        if not line:
            raise self._failed("it has ended")
        found: Json = json.loads(line)
        if "failed" in found:
            raise self._failed(found["failed"])
        return found

    def end(self) -> None:
        """End it, kindly first."""
        with contextlib.suppress(OSError):
            if self.process.stdin is not None:
                self.process.stdin.close()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(END_SECONDS)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _failed(self, why: str) -> WorkerFailedError:
        return WorkerFailedError(f"{why}: {self.log.read_text()[-3000:]}")


@contextlib.contextmanager
def a_worker(
    module: str, root: Path, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Worker]:
    """Run `module` of the checkout at `root`; it has ended when the block has."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("SPOT_")}
    paths = [str(root), str(root / "tests"), str(root / "hack")]
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    offline = {"AWS_EC2_METADATA_DISABLED": "true", "HF_HUB_OFFLINE": "1"}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            env={
                **inherited, **single, **offline, **(environment or {}),
                "PYTHONPATH": os.pathsep.join(paths),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )  # fmt: skip
    worker = Worker(process, log)
    try:
        yield worker
    finally:
        worker.end()


def work(tasks: Mapping[str, Callable[..., Json]]) -> None:
    """The worker's own loop: do each task until the other end closes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            found = tasks[asked["task"]](**asked["given"])
        except Exception as error:
            answers.write(json.dumps({"failed": f"{asked['task']}: {error!r}"}) + "\n")
            answers.flush()
            raise
        answers.write(json.dumps(found) + "\n")
        answers.flush()
