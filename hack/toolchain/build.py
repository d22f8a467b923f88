"""Build the missing programs, one at a time, and put each in place as soon as it is done."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from .binaries import Binary
from .commands import Step, perform
from .golang import Go, build_environment, find_go
from .layout import Cache
from .locking import exclusive
from .progress import Stopwatch, clock_text, say


def build(binaries: Sequence[Binary], cache: Cache) -> None:
    """Build those of `binaries` that are missing or were built by another recipe.

    Raises StepError with the compiler's last words; what was built before stays.
    """
    if not _missing(binaries, cache):
        say(f"programs: all {len(binaries)} are there")
        return
    with exclusive(cache.lock("build"), say):
        _build_missing(_missing(binaries, cache), cache)


def _missing(binaries: Sequence[Binary], cache: Cache) -> list[Binary]:
    return [binary for binary in binaries if not binary.is_built(cache)]


def _build_missing(missing: Sequence[Binary], cache: Cache) -> None:
    go = find_go(cache)
    expected = sum(binary.expected_seconds for binary in missing)
    version = ".".join(str(part) for part in go.version)
    say(f"{len(missing)} programs to build with Go {version} from {go.origin},")
    say(f"about {clock_text(expected)} on two cores with cold caches, seconds with warm ones")
    scratch = empty_folder(cache.scratch("build"))
    watch = Stopwatch()
    for binary in missing:
        _build_one(binary, go, scratch, cache)
    shutil.rmtree(scratch)
    say(f"{len(missing)} programs built in {clock_text(watch.seconds())}")


def _build_one(binary: Binary, go: Go, scratch: Path, cache: Cache) -> None:
    made = scratch / binary.name
    flags = ["-ldflags", binary.linker_flags, "-o", str(made)]
    step = Step(
        f"{binary.name} {binary.version}",
        [str(go.program), "build", *flags, binary.package],
        binary.expected_seconds,
        cwd=binary.family.folder,
        environ=build_environment(os.environ, scratch),
    )
    perform(step, cache.logs / f"{binary.name}.log")
    _install(binary, made, cache)


def _install(binary: Binary, made: Path, cache: Cache) -> None:
    """Program, then recipe, then link: killed anywhere between, the next run builds it again."""
    binary.folder(cache).mkdir(parents=True, exist_ok=True)
    cache.bin.mkdir(parents=True, exist_ok=True)
    made.replace(binary.program(cache))
    noted = made.with_suffix(".recipe")
    noted.write_text(binary.recipe())
    noted.replace(binary.folder(cache) / "recipe")
    point(cache.bin / binary.name, binary.program(cache))


def point(link: Path, target: Path) -> None:
    """Make `link` a relative symlink to `target`, replacing what it was, atomically."""
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.path.relpath(target, link.parent))
    fresh.replace(link)


def empty_folder(folder: Path) -> Path:
    """`folder`, new and empty: sweeps what a killed run left."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
