"""The ways to interrupt a script: by surprise, or with a warning and a deadline."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from spot_training.backends.local import NOTICE
from spot_training.cli.run.process import Process
from spot_training.times import rfc3339, utc_now

KINDS = ("KILL", "TERM", "notice")


@dataclass(frozen=True, slots=True)
class Strike:
    """`kind` is KILL, TERM or notice; the latter two leave `grace` seconds, then comes SIGKILL."""

    kind: str
    grace: float
    lineage: Path

    @property
    def warns(self) -> bool:
        """Whether the script may save and leave by itself."""
        return self.kind != "KILL"

    def begin(self, process: Process) -> None:
        """What happens at the chosen instant."""
        actions: dict[str, Callable[[], None]] = {
            "KILL": lambda: process.strike(signal.SIGKILL),
            "TERM": lambda: process.strike(signal.SIGTERM),
            "notice": self._write_notice,
        }
        actions[self.kind]()

    def spelled(self) -> str:
        """As the timeline says it."""
        words = {"KILL": "killed (SIGKILL)", "TERM": "told to end (SIGTERM)"}
        return words.get(self.kind, f"noticed of its end in {self.grace:g} s")

    def _write_notice(self) -> None:
        """As a sidecar writes it: whole, by rename."""
        now = utc_now()
        notice = {
            "kind": "Preempt",
            "source": "spot-training run",
            "observedAt": rfc3339(now),
            "deadline": rfc3339(now + timedelta(seconds=self.grace)),
        }
        draft = self.lineage / f".{NOTICE}.{os.getpid()}"
        draft.write_text(json.dumps(notice))
        draft.replace(self.lineage / NOTICE)
