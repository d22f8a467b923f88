"""Processes with Trainers of Hugging Face and Lightning, and the examples, killed and warned."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from kit.commands import Shell
from kit.sidecar import eventually
from kit.torch_trainers.common import expect_same_bits
from kit.zygote import Child, Zygote
from spot_training.checkpoint import keys
from spot_training.checkpoint.stores.directory import DirectoryStore

EXAMPLES = Path(__file__).parents[2] / "examples"
FRAMEWORKS = pytest.mark.parametrize("framework", ["huggingface", "lightning"])


@dataclass
class Programs:
    """Starts them below `folder`, each with a log of its own."""

    zygote: Zygote
    folder: Path

    def start(self, program: str, lineage: str, *argv: str) -> tuple[Child, Path]:
        log = self.folder / f"{lineage}-{len(list(self.folder.glob('*.log')))}.log"
        environment = {
            "SPOT_DIR": str(self.folder / lineage), "SPOT_INTERVAL": "0.1", "HF_HUB_OFFLINE": "1",
            "PATH": os.environ["PATH"], "HOME": str(self.folder), "TMPDIR": str(self.folder),
            "SPOT_STEP_LOG": str(self.folder / f"{lineage}.steps"),
        }  # fmt: skip
        return self.zygote.start(program, argv, env=environment, log=log), log

    def interrupt(self, how: signal.Signals, program: str, lineage: str, *argv: str) -> None:
        """Starts it, and sends the signal once one more checkpoint is there."""
        before = self.commits(lineage)
        child, log = self.start(program, lineage, *argv)
        expect(log, lambda: self.commits(lineage) > before or child.poll() is not None)
        child.signal(how)
        assert child.wait(60) == (-9 if how is signal.SIGKILL else 0), log.read_text()
        assert self.markers(lineage) == 0

    def end(self, program: str, lineage: str, *argv: str) -> str:
        """Starts it and returns what it said, once it has completed."""
        child, log = self.start(program, lineage, *argv)
        assert child.wait(60) == 0, log.read_text()
        assert self.markers(lineage) == 1
        return log.read_text()

    def commits(self, lineage: str) -> int:
        return self._count(lineage, keys.COMMITS)

    def markers(self, lineage: str) -> int:
        return self._count(lineage, keys.MARKERS)

    def _count(self, lineage: str, prefix: str) -> int:
        directory = self.folder / lineage
        return len(DirectoryStore(directory).list(prefix)) if directory.exists() else 0


def expect(log: Path, look: Callable[[], bool]) -> None:
    try:
        eventually("the training", look, seconds=60)
    except AssertionError as error:
        raise AssertionError(f"{error}: {log.read_text()}") from None


@FRAMEWORKS
def test_killed_processes_end_with_the_same_bits(
    tmp_path: Path, zygote: Zygote, framework: str
) -> None:
    programs = Programs(zygote, tmp_path)
    program = f"kit.torch_trainers.{framework}:main"

    def options(lineage: str, pause: float) -> str:
        result = str(tmp_path / f"{lineage}.pt")
        return json.dumps({"result": result, "pause": pause, "interval": 0.1})

    programs.end(program, "whole", options("whole", 0.0))
    for how in (signal.SIGKILL, signal.SIGTERM):
        programs.interrupt(how, program, "killed", options("killed", 0.03))
    assert "Paused: PodDeletion from sigterm: step" in (tmp_path / "killed-2.log").read_text()
    programs.end(program, "killed", options("killed", 0.0))
    whole, killed = (torch.load(tmp_path / f"{name}.pt") for name in ("whole", "killed"))
    expect_same_bits(killed, whole)


@FRAMEWORKS
def test_the_examples_are_what_they_say(
    tmp_path: Path, zygote: Zygote, framework: str, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = Programs(zygote, tmp_path)
    program, path = "kit.torch_trainers.common:run_script", str(EXAMPLES / framework / "train.py")
    whole = programs.end(program, "whole", path, "--epochs", "2", "--pause", "0")
    for how in (signal.SIGKILL, signal.SIGTERM):
        programs.interrupt(how, program, "killed", path, "--epochs", "2")
    killed = programs.end(program, "killed", path, "--epochs", "2", "--pause", "0")
    assert killed.splitlines()[-1] == whole.splitlines()[-1]
    assert killed.splitlines()[-1].startswith("weights ")
    verified = Shell(capsys)("verify", tmp_path / "whole", tmp_path / "killed")
    assert verified.lines[-1] == "A and B are bit-identical", verified.out
