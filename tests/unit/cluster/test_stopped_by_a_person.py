"""Ctrl-C, also pressed twice, while a program removes what it made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HACK = Path(__file__).resolve().parents[3] / "hack"
PROGRAM = """
import subprocess, sys, time
from cluster.stopping import stop_once

stop_once()
try:
    print("made", flush=True)
    time.sleep(30)
except KeyboardInterrupt:
    print("removing", flush=True)
    subprocess.run(["sleep", "1"], check=True)
    print("removed", flush=True)
    sys.exit(130)
"""


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("again", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_cut_the_removal_short(
    first: signal.Signals, again: signal.Signals
) -> None:
    """A terminal sends it to the whole group: to the programs that remove, too."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(HACK)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "made\n"
        os.killpg(program.pid, first)
        assert program.stdout.readline() == "removing\n"
        os.killpg(program.pid, again)
        said, told = program.communicate(timeout=20)
    assert (said, program.returncode) == ("removed\n", 130)
    assert "stopping" in told
