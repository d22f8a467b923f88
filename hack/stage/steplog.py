"""The trainer's own log of its steps, followed while its pods come and go."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass

from stage.kube import Kube, KubectlError, Object


@dataclass(frozen=True)
class StepLine:
    """One optimizer step as the trainer printed it, and when that line arrived here (Unix time)."""

    attempt: int
    step: int
    loss: float
    received: float


class StepLog:
    """Follows the trainer container of every attempt of one job until closed."""

    def __init__(self, kube: Kube, job: str) -> None:
        self._kube, self._job = kube, job
        self._lines: list[StepLine] = []
        self._notes: list[tuple[int, Object, float]] = []
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=self._watch, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """Stop following; what was read stays."""
        self._closed.set()
        for thread in list(self._threads):
            thread.join(timeout=10)

    def lines(self, attempt: int | None = None) -> list[StepLine]:
        """The steps seen so far, in the order they arrived."""
        return [line for line in self._lines if attempt in (None, line.attempt)]

    def notes(self, kind: str) -> list[tuple[int, Object, float]]:
        """Other JSON lines with this `event`: (attempt, line, arrival)."""
        return [note for note in self._notes if note[1].get("event") == kind]

    def last_step(self, attempt: int) -> int:
        """The newest step of this attempt, 0 before the first."""
        return max((line.step for line in self.lines(attempt)), default=0)

    def repeated(self, attempts: set[int]) -> list[int]:
        """Steps that ran more than once within these attempts taken together."""
        counted = Counter(line.step for line in self._lines if line.attempt in attempts)
        return sorted(step for step, times in counted.items() if times > 1)

    def missing(self, attempts: set[int]) -> list[int]:
        """Steps between the first and the last of these attempts that no log line shows."""
        steps = {line.step for line in self._lines if line.attempt in attempts}
        return sorted(set(range(min(steps), max(steps) + 1)) - steps) if steps else []

    def _watch(self) -> None:
        followed: set[str] = set()
        while not self._closed.wait(0.3):
            for pod in self._pods():
                uid = pod["metadata"]["uid"]
                if uid not in followed:
                    followed.add(uid)
                    attempt = int(pod["metadata"]["labels"]["spottraining.dev/attempt"])
                    name = pod["metadata"]["name"]
                    thread = threading.Thread(
                        target=self._follow, args=(name, attempt), daemon=True
                    )
                    self._threads.append(thread)
                    thread.start()

    def _pods(self) -> list[Object]:
        try:
            pods = self._kube.list("pods", f"spottraining.dev/job={self._job}")
        except (KubectlError, TimeoutError):
            return []
        return [pod for pod in pods if _trainer_started(pod)]

    def _follow(self, pod: str, attempt: int) -> None:
        with self._kube.follow(pod, "trainer") as process:
            threading.Thread(target=_end_with, args=(self._closed, process), daemon=True).start()
            for text in process.stdout or ():
                self._read(text, attempt)

    def _read(self, text: str, attempt: int) -> None:
        try:
            line = json.loads(text)
        except ValueError:
            return
        if not isinstance(line, dict):
            return
        if "step" in line and "loss" in line:
            self._lines.append(StepLine(attempt, line["step"], line["loss"], time.time()))
        else:
            self._notes.append((attempt, line, time.time()))


def _trainer_started(pod: Object) -> bool:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return any(
        status["name"] == "trainer" and not status["state"].get("waiting") for status in statuses
    )


def _end_with(closed: threading.Event, process: subprocess.Popen[str]) -> None:
    closed.wait()
    process.kill()
