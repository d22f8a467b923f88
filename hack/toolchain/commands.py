"""Running other programs: bounded, logged, and never outliving us."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import MissingError, StepError
from .progress import Line

SHOWN_LINES = 25
"""How much of a failed step's output the error carries; the whole is in its log."""


@dataclass(frozen=True)
class Step:
    """A program that takes long enough to show progress."""

    label: str
    argv: Sequence[str]
    expected_seconds: float
    """What it took on the reference machine (README.md), cold."""
    cwd: Path | None = None
    environ: Mapping[str, str] | None = None

    @property
    def limit_seconds(self) -> float:
        """A machine ten times slower still gets through; a hung download ends."""
        return 10 * self.expected_seconds + 600


def perform(step: Step, log: Path) -> float:
    """Run the step with its output in `log`; returns the seconds it took.

    Raises StepError with the end of the output when it fails or exceeds its limit.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    line = Line(step.label, step.expected_seconds)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*_dying_with_us(), *step.argv],
            cwd=step.cwd,
            env=dict(step.environ) if step.environ is not None else None,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        code = _wait(process, line, step.limit_seconds)
    seconds = line.done()
    if code != 0:
        raise StepError(_failure(step, code, log))
    return seconds


def output_of(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    limit: float = 60,
) -> str:
    """Standard output of a short program. Raises StepError when it fails or is not there."""
    try:
        result = subprocess.run(
            argv,
            cwd=cwd,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StepError(f"{' '.join(argv)}: {error}") from error
    if result.returncode != 0:
        raise StepError(f"{' '.join(argv)} ended with {result.returncode}: {result.stderr.strip()}")
    return result.stdout


def succeeds(argv: Sequence[str], limit: float = 30) -> bool:
    """Whether a short program is there and exits 0."""
    try:
        output_of(argv, limit=limit)
    except StepError:
        return False
    return True


def need_root(purpose: str) -> None:
    """Raises MissingError unless we are root; `purpose` finishes the sentence "… needs root"."""
    if os.geteuid() != 0:
        raise MissingError(f"{purpose} needs root; run the same command with sudo")


def in_own_namespaces(argv: Sequence[str]) -> list[str]:
    """`argv` in mount and process namespaces of its own.

    Whatever it mounts and starts vanishes with it, also when it is killed half-way: no
    `rm -r` of ours can then walk into a /proc that debootstrap or buildah left mounted.
    """
    flags = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return ["unshare", *flags, "--", *argv]


def _dying_with_us() -> list[str]:
    """setpriv makes the kernel kill the step when we are killed; util-linux is not everywhere."""
    return ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []


def _wait(process: subprocess.Popen[bytes], line: Line, limit: float) -> int | None:
    """The exit code, or None when the limit passed and the step was killed."""
    try:
        while line.watch.seconds() < limit:
            try:
                return process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                line.tick()
        return None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _failure(step: Step, code: int | None, log: Path) -> str:
    ending = (
        f"took longer than {step.limit_seconds:.0f} s" if code is None else f"ended with {code}"
    )
    tail = log.read_text(errors="replace").splitlines()[-SHOWN_LINES:]
    return "\n".join([f"{step.label} {ending}; the whole output is in {log}", *tail])
