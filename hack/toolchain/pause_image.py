"""The image that holds a pod's namespaces open: one static program of ours, nothing else.

In Go, since its compiler is here already; a C compiler may not be.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from .build import empty_folder
from .commands import Step, perform
from .docker_archive import write_image
from .golang import build_environment, find_go
from .layout import HERE, Cache
from .locking import exclusive
from .progress import say
from .records import ImageRecord, current, publish

SOURCE = HERE / "pause"
CONFIG = {"Entrypoint": ["/pause"], "User": "65535:65535"}


def pause_image(cache: Cache) -> ImageRecord:
    """The pause image, made now if it is missing or its source changed."""
    key = _key()
    with exclusive(cache.lock("pause"), say):
        return current(cache, "pause", key) or _make(key, cache)


def _key() -> str:
    sources = [path.read_bytes() for path in sorted(SOURCE.iterdir())]
    return hashlib.sha256(b"\0".join([*sources, repr(CONFIG).encode()])).hexdigest()[:12]


def _make(key: str, cache: Cache) -> ImageRecord:
    scratch = empty_folder(cache.scratch("pause"))
    root = scratch / "root"
    root.mkdir()
    _compile(root / "pause", scratch, cache)
    record = publish(
        cache, "pause", key, lambda archive, name: write_image(archive, root, name, config=CONFIG)
    )
    shutil.rmtree(scratch)
    return record


def _compile(program: Path, scratch: Path, cache: Cache) -> None:
    argv = [str(find_go(cache).program), "build", "-ldflags", "-s -w", "-o", str(program), "."]
    environ = build_environment(os.environ, scratch)
    perform(Step("pause image", argv, 8, cwd=SOURCE, environ=environ), cache.logs / "pause.log")
