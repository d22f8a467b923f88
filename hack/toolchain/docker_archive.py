"""Write and read single-layer images in the docker-archive format (what `docker save` makes).

Written here rather than by an image builder: a folder becomes an image in one pass, with the same
bytes whenever the folder is the same. Times of files are kept, since Python compares the time
of a source with the one noted in its bytecode.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

EPOCH = "1970-01-01T00:00:00Z"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write_image(archive: Path, root: Path, reference: str, *, config: Mapping[str, Any]) -> None:
    """Make `archive` an image that holds what is under `root`.

    `reference` is its `name:tag`; `config` the OCI run configuration (Env, Cmd, Entrypoint …).
    Owners are stored by number. The archive is complete when this returns, and not before.
    """
    layer = archive.with_name(f"{archive.name}.layer")
    _write_layer(layer, root)
    digest = _digest(layer)
    described = json.dumps(_description(config, digest), sort_keys=True).encode()
    image_id = hashlib.sha256(described).hexdigest()
    manifest = [
        {"Config": f"{image_id}.json", "RepoTags": [reference], "Layers": [f"{digest}.tar"]}
    ]
    with tarfile.open(archive, "w") as tar:
        tar.add(layer, f"{digest}.tar", filter=_anonymous)
        _add_bytes(tar, f"{image_id}.json", described)
        _add_bytes(tar, "manifest.json", json.dumps(manifest, sort_keys=True).encode())
    layer.unlink()


def unpacked_bytes(archive: Path) -> int:
    """The sum of an archive's layers, unpacked: what an image takes on a node's disk."""
    with tarfile.open(archive) as tar:
        manifest = json.loads(_member(tar, "manifest.json"))
        return sum(tar.getmember(name).size for name in manifest[0]["Layers"])


def image_id(archive: Path) -> str:
    """The digest that runtimes know the image by: that of its configuration."""
    with tarfile.open(archive) as tar:
        manifest = json.loads(_member(tar, "manifest.json"))
        return "sha256:" + hashlib.sha256(_member(tar, manifest[0]["Config"])).hexdigest()


def _write_layer(layer: Path, root: Path) -> None:
    with tarfile.open(layer, "w", format=tarfile.PAX_FORMAT) as tar:
        for folder, folders, files in os.walk(root):
            folders.sort()
            for name in sorted([*files, *folders]):
                path = Path(folder, name)
                tar.add(path, str(path.relative_to(root)), recursive=False, filter=_unnamed)


def _unnamed(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Names of owners would be looked up on the host that unpacks; numbers mean the same on all."""
    entry.uname = entry.gname = ""
    entry.mtime = int(entry.mtime)
    return entry


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.mtime = 0
    return _unnamed(entry)


def _description(config: Mapping[str, Any], digest: str) -> dict[str, Any]:
    machine = os.uname().machine
    return {
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "created": EPOCH,
        # buildah finds cached layers by comparing histories, and only dated entries are ever equal.
        "history": [{"created": EPOCH, "created_by": "hack/toolchain"}],
    }


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mode = 0o644
    tar.addfile(entry, io.BytesIO(content))


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    handle = tar.extractfile(name)
    if handle is None:
        raise ValueError(f"{name} is no file in this archive")
    return handle.read()
