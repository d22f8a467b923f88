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
from pathlib import Path

from .build import empty_folder
from .commands import in_own_namespaces, need_root, output_of
from .debian_root import TRIMMED, codename, debootstrap, trim
from .docker_archive import write_image
from .errors import StepError
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

CONFIG = {
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
    "Cmd": ["python3"],
}


def base_images(cache: Cache) -> tuple[ImageRecord, ImageRecord]:
    """`base` and `base-build`, made now if missing. Raises MissingError without root or Debian."""
    key = _key(codename())
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


def _key(release: str) -> str:
    lists = (FINAL_PACKAGES, BUILD_PACKAGES, PURGED, TRIMMED)
    parts = [RECIPE, release, os.uname().machine, repr(lists), repr(CONFIG)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _current(cache: Cache, key: str) -> tuple[ImageRecord, ImageRecord] | None:
    final, build = current(cache, "base", key), current(cache, "base-build", key)
    return (final, build) if final and build else None


def _make(key: str, cache: Cache) -> None:
    root = empty_folder(cache.scratch("base")) / "root"
    packages = (*FINAL_PACKAGES, *BUILD_PACKAGES)
    debootstrap(root, packages, label="base image", expected=45, cache=cache)
    trim(root)
    _pack("base-build", key, root, cache)
    _purge(root)
    trim(root)
    _pack("base", key, root, cache)
    shutil.rmtree(cache.scratch("base"))


def _purge(root: Path) -> None:
    """The apt lists are gone by now, so dpkg alone does it."""
    query = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W", "-f", "${Package}\n", *PURGED]
    names = output_of(query).split()
    output_of(in_own_namespaces(["chroot", str(root), "dpkg", "--purge", *names]), limit=120)
    if left := [*root.glob("usr/share/python-wheels/pip-*"), *root.glob("usr/lib/python3*/*/pip")]:
        raise StepError(f"pip is still in the final base: {left[0]}")


def _pack(name: str, key: str, root: Path, cache: Cache) -> None:
    record = publish(
        cache,
        name,
        key,
        lambda archive, reference: write_image(archive, root, reference, config=CONFIG),
    )
    say(f"  {name}: {record.megabytes:.0f} MB")
