"""Runs `spot-training` as a person does, inside this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from spot_training.cli.app import main


@dataclass(frozen=True, slots=True)
class Said:
    """What a command ended with."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass(frozen=True, slots=True)
class Shell:
    """`shell("checkpoints", "ls", path)`."""

    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str | Path) -> Said:
        self.capture.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as error:  # argparse
            code = int(error.code or 0)
        said = self.capture.readouterr()
        return Said(code, said.out, said.err)


def flip(path: Path, at: int) -> None:
    """Changes one byte of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)
