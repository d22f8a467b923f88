"""Starts the script until it completes, and strikes it while it runs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spot_training import steplog
from spot_training.checkpoint import keys
from spot_training.checkpoint.stores.directory import DirectoryStore
from spot_training.cli.codes import Refusal
from spot_training.cli.run.ending import Ending, Exit, Patience, Verdict, classify, decide, spelled
from spot_training.cli.run.process import Process
from spot_training.cli.run.schedule import Schedule
from spot_training.cli.run.story import Start, reached
from spot_training.cli.run.strike import Strike
from spot_training.cli.text import count

STEPS = "steps.jsonl"
_LOOK_SECONDS = 0.05
_NEVER = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run, and how to interrupt it; without a schedule it is not interrupted.

    The time to a kill counts from the start, or `from_first_step`: then a script that is still
    importing or restoring is left alone.
    """

    command: Sequence[str]
    lineage: Path
    schedule: Schedule | None
    strike: Strike
    from_first_step: bool = False
    max_kills: int | None = None
    max_failures: int = 3
    interval: float | None = None
    tell: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Result:
    """How it ended: exit code, why it stopped early, and what happened."""

    verdict: Verdict
    starts: tuple[Start, ...]


@dataclass(slots=True)
class Supervisor:
    """One run of a script to its completion. `process` is the start under way, if any."""

    plan: Plan
    starts: list[Start] = field(default_factory=list)
    process: Process | None = None
    _struck: int = 0
    _patience: Patience = field(default_factory=Patience)
    _tail: _Tail = field(init=False)
    _store: DirectoryStore = field(init=False)

    def __post_init__(self) -> None:
        self._store = DirectoryStore.prepare(self.plan.lineage)
        self._tail = _Tail(self.plan.lineage / STEPS)
        self._tail.lines()  # what an earlier run left

    def run(self) -> Result:
        """Until it completes or cannot; Ctrl-C and SIGTERM end the script first."""
        try:
            while True:
                verdict = self._once()
                if not verdict.again:
                    return Result(verdict, tuple(self.starts))
        finally:
            if self.process is not None:
                self.process.end()

    def _once(self) -> Verdict:
        before = self._commits()
        start = Start(began=time.time(), high_water=reached(self.starts))
        self.starts.append(start)
        code, struck = self._watch(start)
        end = Exit(
            code, struck=struck, warned=struck and self.plan.strike.warns, marker=self._completed()
        )
        start.ended, start.ending = time.time(), classify(end)
        self._expect_lineage(start.ending)
        committed = not self._commits() <= before
        self._patience = self._patience.after(start.ending, committed=committed)
        self._tell(_told(start, code))
        return decide(start.ending, code, self._patience, max_failures=self.plan.max_failures)

    def _watch(self, start: Start) -> tuple[int, bool]:
        """Runs it to its end; its code, and whether it was struck before."""
        due, struck = self._due(), False
        self.process = Process(self.plan.command, self._environment())
        while not self.process.ended(_LOOK_SECONDS):
            self._hear(start)
            if self._counted(start) < due:
                continue
            if struck:
                self.process.strike(signal.SIGKILL)
                due = _NEVER
                continue
            struck, due = True, due + self.plan.strike.grace
            self._struck += 1
            self.plan.strike.begin(self.process)
        code = self.process.reap()
        self.process = None
        self._hear(start)
        return code, struck

    def _hear(self, start: Start) -> None:
        for line in self._tail.lines():
            first = start.ready is None
            start.hear(line)
            if first:
                self._tell(_begun(start))

    def _due(self) -> float:
        enough = self.plan.max_kills is not None and self._struck >= self.plan.max_kills
        return _NEVER if self.plan.schedule is None or enough else self.plan.schedule.next()

    def _counted(self, start: Start) -> float:
        """The seconds of the start that count towards its kill."""
        since = start.first_step if self.plan.from_first_step else start.began
        return 0.0 if since is None else time.time() - since

    def _environment(self) -> Mapping[str, str]:
        environment = dict(os.environ)
        environment.pop("SPOT_SOCKET", None)  # beside a sidecar the script would talk to that
        environment["SPOT_DIR"] = str(self.plan.lineage)
        environment[steplog.VARIABLE] = str(self.plan.lineage / STEPS)
        environment["SPOT_GRACE_SECONDS"] = f"{self.plan.strike.grace:g}"
        if self.plan.interval is not None:
            environment.setdefault("SPOT_INTERVAL", f"{self.plan.interval:g}")
        return environment

    def _commits(self) -> frozenset[str]:
        return frozenset(self._store.list(keys.COMMITS))

    def _completed(self) -> bool:
        return bool(self._store.list(keys.MARKERS))

    def _expect_lineage(self, ending: Ending) -> None:
        """A script that ended by itself without a trace in the lineage keeps it elsewhere."""
        traceless = not (self.plan.lineage / keys.FORMAT).exists()
        if traceless and ending in (Ending.UNFINISHED, Ending.PAUSED):
            raise Refusal(
                f"the script left no checkpoint in {self.plan.lineage}: it has to call "
                "spot_training.resume(); where it passes directory=, give that as --lineage"
            )

    def _tell(self, what: str) -> None:
        self.plan.tell(f"{time.time() - self.starts[0].began:8.1f} s  {what}")


@dataclass(slots=True)
class _Tail:
    """New whole lines of a growing file."""

    path: Path
    _at: int = 0

    def lines(self) -> list[steplog.Line]:
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._at)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._at += len(whole)
        return list(steplog.parse(whole.decode("utf-8").splitlines()))


def _begun(start: Start) -> str:
    if not start.resumed_at:
        return f"attempt {start.attempt} begins from zero"
    behind = start.high_water - start.resumed_at
    again = f", {count(behind, 'step')} to be done again" if behind > 0 else ""
    return f"attempt {start.attempt} resumes at step {start.resumed_at}{again}"


def _told(start: Start, code: int) -> str:
    where = "before it began" if start.attempt is None else f"at step {start.step}"
    explained = start.ending in (Ending.COMPLETED, Ending.KILLED, Ending.PAUSED)
    return f"{start.ending} {where}" + ("" if explained else f" ({spelled(code)})")
