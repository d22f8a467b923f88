"""Where everything lies.

$SPOT_CACHE (default ~/.cache/spot-training-operator)
├── toolchain/
│   ├── bin/<name>                  symlinks, stable across versions
│   ├── <name>-<version>/<name>     one program; `recipe` beside it says how it was built
│   ├── wheels/<name>-<version>/    virtual environments for uv and, where needed, Go
│   └── logs/<step>.log             the last output of each step
├── images/
│   ├── <name>-<key>.tar            docker-archive, keyed by its inputs
│   ├── <name>.tar, <name>.json     symlink to the current one, and its record
│   └── storage/                    buildah's own storage, a layer cache only
├── machines/
│   ├── system-<key>/               a Debian for machines with a kernel of their own
│   └── disk-<key>.ext4             the disk that such machines start from, with our programs
└── scratch/<command>/              work in progress; swept by the next run of the same command
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Cache:
    """Paths under one cache root; nothing is created by asking for them."""

    root: Path

    @property
    def toolchain(self) -> Path:
        return self.root / "toolchain"

    @property
    def bin(self) -> Path:
        return self.toolchain / "bin"

    @property
    def logs(self) -> Path:
        return self.toolchain / "logs"

    @property
    def wheels(self) -> Path:
        return self.toolchain / "wheels"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def machines(self) -> Path:
        return self.root / "machines"

    def lock(self, what: str) -> Path:
        """The lock file of one kind of work; two kinds may run at the same time."""
        return self.root / "locks" / what

    def scratch(self, what: str) -> Path:
        """Where one kind of work keeps what is not finished; swept under the same lock."""
        return self.root / "scratch" / what


def cache_from(environ: Mapping[str, str]) -> Cache:
    """The cache that `SPOT_CACHE` names, else the one in the user's home."""
    named = environ.get("SPOT_CACHE")
    if named:
        return Cache(Path(named).expanduser().absolute())
    return Cache(Path(environ.get("HOME", "/root")) / ".cache" / "spot-training-operator")
