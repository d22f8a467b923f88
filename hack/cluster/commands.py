"""Running other programs and waiting for the world."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from toolchain.layout import cache_from

from .errors import CommandError, NotReadyError, PreconditionError


def run(
    *argv: str, stdin: str | None = None, within: float = 60, env: Mapping[str, str] | None = None
) -> str:
    """What the program prints; raises `CommandError` when it fails or takes too long."""
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=within,
            env=env,
            check=False,
        )
    except FileNotFoundError as error:
        raise PreconditionError(
            f"{argv[0]} is missing; run: python3 hack/toolchain packages   (as root)"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{' '.join(argv)}: no end within {within:.0f} s") from error
    if done.returncode:
        raise CommandError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def succeeds(*argv: str, env: Mapping[str, str] | None = None) -> bool:
    """Whether the program ends well."""
    try:
        run(*argv, env=env)
    except CommandError:
        return False
    return True


def until(
    what: str,
    condition: Callable[[], bool],
    *,
    within: float,
    every: float = 0.2,
    explain: Callable[[], str] = lambda: "",
) -> None:
    """Wait for the condition; raises `NotReadyError` with `explain()` at the limit."""
    limit = time.monotonic() + within
    while not condition():
        if time.monotonic() > limit:
            raise NotReadyError(f"{what}: not within {within:.0f} s\n{explain()}".rstrip())
        time.sleep(every)


def programs() -> Path:
    """Where the toolchain puts its programs."""
    return cache_from(os.environ).bin


def program(name: str) -> str:
    """The path of one of them; raises `PreconditionError` when it is not built."""
    path = programs() / name
    if not path.exists():
        raise PreconditionError(f"{name} is not built; run: make toolchain")
    return str(path)
