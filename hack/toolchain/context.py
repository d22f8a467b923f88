"""What goes into one of the project's images: the files, and the digest of them all.

The files are those that git knows or would add (so no cache, no environment), under the paths that
the Dockerfile copies. The builder gets a folder with exactly these files: what is not in the digest
cannot reach the image.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .commands import output_of
from .dockerfile import context_sources
from .errors import MissingError


@dataclass(frozen=True)
class Context:
    """A Dockerfile and the files it may copy, relative to the project's root."""

    project: Path
    dockerfile: str
    files: tuple[str, ...]


def read_context(project: Path, dockerfile: str) -> Context:
    """The context of one Dockerfile. Raises MissingError for a copied path without files."""
    path = project / dockerfile
    if not path.is_file():
        raise MissingError(f"there is no {dockerfile}")
    sources = context_sources(path.read_text())
    files: set[str] = set()
    for source in sources:
        found = _known_files(project, source)
        if not found:
            raise MissingError(f"{dockerfile} copies {source}, where git knows no file")
        files.update(found)
    return Context(project, dockerfile, tuple(sorted(files)))


def context_key(context: Context, also: Iterable[str] = ()) -> str:
    """Twelve hex digits of everything that decides the image; `also` adds what is not a file."""
    digest = hashlib.sha256()
    for part in also:
        digest.update(part.encode() + b"\0")
    for name in (context.dockerfile, *context.files):
        path = context.project / name
        executable = path.stat().st_mode & 0o100
        digest.update(f"{name}\0{bool(executable)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def copy_context(context: Context, folder: Path) -> None:
    """Lay the files out under `folder`, times kept: the builder's layer cache compares them."""
    for name in context.files:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(context.project / name, target)
        target.chmod(0o755 if target.stat().st_mode & 0o100 else 0o644)


def _known_files(project: Path, source: str) -> Sequence[str]:
    # A checkout owned by another user is fine to read; git would refuse to list it.
    git = ["git", "-c", f"safe.directory={project}", "-C", str(project), "ls-files", "-z"]
    listed = output_of([*git, "--cached", "--others", "--exclude-standard", "--", source])
    names = [name for name in listed.split("\0") if name]
    return [name for name in names if (project / name).is_file()]
