"""A root file system of this machine's Debian release, made by debootstrap and trimmed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from .apt_sources import apt_proxy, codename_from, main_source, read_sources
from .commands import Step, in_own_namespaces, output_of, perform
from .errors import MissingError
from .layout import Cache

TRIMMED = (
    *("usr/share/doc/*", "usr/share/man/*", "usr/share/info/*", "usr/share/locale/*"),
    *("usr/share/lintian", "usr/share/bug"),
    *("usr/share/pixmaps", "usr/share/zoneinfo/right"),
    *("usr/lib/python3*/pydoc_data", "usr/lib/python3*/test", "usr/lib/*/gconv"),
    *("var/cache/*", "var/lib/apt/lists/*", "var/log/*", "tmp/*", "run/*", "dev/*"),
    *("debootstrap", "etc/apt/sources.list", "etc/resolv.conf", "etc/hostname"),
)
"""Documentation, translations, caches, what names this machine or its network.

`gconv` is for character sets, and Python brings its own.
"""

LICENCES = "usr/share/doc/*/copyright"
"""They ask to stay with the programs; some packages link to another's documentation for theirs."""


def codename() -> str:
    """This machine's Debian release; raises `MissingError` where it is another system."""
    return codename_from(Path("/etc/os-release").read_text())


def debootstrap(
    root: Path, packages: Sequence[str], *, label: str, expected: float, cache: Cache
) -> None:
    """Fill `root` with a minimal system and the packages, from the mirror that apt here uses."""
    if shutil.which("debootstrap") is None:
        raise MissingError("debootstrap is missing; run: python3 hack/toolchain packages")
    source = main_source(read_sources(), codename())
    keyring = [f"--keyring={source.keyring}"] if source.keyring else []
    flags = ["--variant=minbase", f"--include={','.join(packages)}", *keyring]
    step = Step(
        f"{label}: Debian {source.suite}",
        in_own_namespaces(["debootstrap", *flags, source.suite, str(root), source.uri]),
        expected,
        environ=_environment(),
    )
    perform(step, cache.logs / f"debootstrap-{root.parent.name}.log")


def _environment() -> dict[str, str]:
    """debootstrap reads no apt configuration; a proxy set there is handed on."""
    proxy = apt_proxy(output_of(["apt-config", "dump"]))
    return {**os.environ, **({"http_proxy": proxy} if proxy else {})}


def trim(root: Path) -> None:
    """Remove what no program of it needs; licences stay."""
    linked = {path for path in root.glob("usr/share/doc/*") if path.is_symlink()}
    kept = linked | set(root.glob(LICENCES))
    for pattern in TRIMMED:
        for path in root.glob(pattern):
            _remove(path, keep=lambda found: found in kept)
    (root / "etc/apt/sources.list").touch()


def _remove(path: Path, keep: Callable[[Path], bool]) -> None:
    if path.is_dir() and not path.is_symlink():
        for child in path.iterdir():
            _remove(child, keep)
        if not any(path.iterdir()):
            path.rmdir()
    elif not keep(path):
        path.unlink()
