"""The base of our images where no container registry can be reached: a trimmed Debian with Python.

Two images come from one debootstrap: `base`, which the final stage starts from, and `base-build`,
the same plus pip and venv. No pip is in `base`.

The mirror is the one that apt on this machine uses. Only its main suite goes in, not the security
archive: these images are for the local cluster and its tests. For production name an image that is
kept current, such as python:3.11-slim, with `--build-arg BASE=…`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from .apt_sources import Source, apt_proxy, codename_from, main_source, read_sources
from .build import empty_folder
from .commands import Step, in_own_namespaces, need_root, output_of, perform
from .docker_archive import write_image
from .errors import MissingError, StepError
from .layout import Cache
from .locking import exclusive
from .progress import say
from .records import ImageRecord, current, publish

RECIPE = "1"
"""Raise it when the base must be made again though no list below changed."""

FINAL_PACKAGES = ("ca-certificates", "python3")
BUILD_PACKAGES = ("python3-pip", "python3-venv")
PURGED = (
    *("python3-venv", "python3.*-venv", "python3-pip", "python3-pip-whl", "python3-wheel"),
    *("python3-setuptools", "python3-setuptools-whl", "python3-pkg-resources"),
    *("python3-distutils", "python3-lib2to3"),
)
"""What BUILD_PACKAGES brought along (patterns of dpkg-query); gone from `base` again."""

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

CONFIG = {
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
    "Cmd": ["python3"],
}


def base_images(cache: Cache) -> tuple[ImageRecord, ImageRecord]:
    """`base` and `base-build`, made now if missing. Raises MissingError without root or Debian."""
    key = _key(codename_from(Path("/etc/os-release").read_text()))
    if (found := _current(cache, key)) is not None:
        return found
    need_root("making the base image (debootstrap)")
    with exclusive(cache.lock("base"), say):
        if (found := _current(cache, key)) is None:
            _make(key, cache)
            found = _current(cache, key)
    if found is None:
        raise StepError("the base images were made, and yet they are not there")
    return found


def _key(codename: str) -> str:
    lists = (FINAL_PACKAGES, BUILD_PACKAGES, PURGED, TRIMMED)
    parts = [RECIPE, codename, os.uname().machine, repr(lists), repr(CONFIG)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _current(cache: Cache, key: str) -> tuple[ImageRecord, ImageRecord] | None:
    final, build = current(cache, "base", key), current(cache, "base-build", key)
    return (final, build) if final and build else None


def _make(key: str, cache: Cache) -> None:
    codename = codename_from(Path("/etc/os-release").read_text())
    root = empty_folder(cache.scratch("base")) / "root"
    _debootstrap(main_source(read_sources(), codename), root, cache)
    _trim(root)
    _pack("base-build", key, root, cache)
    _purge(root)
    _trim(root)
    _pack("base", key, root, cache)
    shutil.rmtree(cache.scratch("base"))


def _debootstrap(source: Source, root: Path, cache: Cache) -> None:
    if shutil.which("debootstrap") is None:
        raise MissingError("debootstrap is missing; run: python3 hack/toolchain packages")
    include = ",".join((*FINAL_PACKAGES, *BUILD_PACKAGES))
    keyring = [f"--keyring={source.keyring}"] if source.keyring else []
    flags = ["--variant=minbase", f"--include={include}", *keyring]
    step = Step(
        f"base image: Debian {source.suite}",
        in_own_namespaces(["debootstrap", *flags, source.suite, str(root), source.uri]),
        45,
        environ=_environment(),
    )
    perform(step, cache.logs / "debootstrap.log")


def _environment() -> dict[str, str]:
    """debootstrap reads no apt configuration; a proxy set there is handed on."""
    proxy = apt_proxy(output_of(["apt-config", "dump"]))
    return {**os.environ, **({"http_proxy": proxy} if proxy else {})}


def _purge(root: Path) -> None:
    """The apt lists are gone by now, so dpkg alone does it."""
    query = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W", "-f", "${Package}\n", *PURGED]
    names = output_of(query).split()
    output_of(in_own_namespaces(["chroot", str(root), "dpkg", "--purge", *names]), limit=120)
    if left := [*root.glob("usr/share/python-wheels/pip-*"), *root.glob("usr/lib/python3*/*/pip")]:
        raise StepError(f"pip is still in the final base: {left[0]}")


def _trim(root: Path) -> None:
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


def _pack(name: str, key: str, root: Path, cache: Cache) -> None:
    record = publish(
        cache,
        name,
        key,
        lambda archive, reference: write_image(archive, root, reference, config=CONFIG),
    )
    say(f"  {name}: {record.megabytes:.0f} MB")
