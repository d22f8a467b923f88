"""An image that is loaded is on every node: those that run, return or join later."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from cluster import Cluster, Node, PreconditionError
from cluster.commands import program, run
from cluster.node_config import CONTAINERD_SOCKET

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]


def tiny_archive(path: Path, name: str) -> Path:
    """A docker-archive of an image with one small file."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as files:
        add(files, "hello", b"hello\n")
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as archive:
        add(archive, "config.json", json.dumps(config).encode())
        add(archive, "layer.tar", layer.getvalue())
        add(archive, "manifest.json", json.dumps(manifest).encode())
    return path


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def images_on(node: Node) -> list[str]:
    socket = f"/proc/{node.machine.pid()}/root{CONTAINERD_SOCKET}"
    return run(program("ctr"), "-a", socket, "-n", "k8s.io", "images", "list", "-q").split()


def test_loaded_images_reach_all_nodes(cluster: Cluster, node: Node, tmp_path: Path) -> None:
    archive = tiny_archive(tmp_path / "tiny.tar", "localhost/tiny:1")
    node.kill()

    cluster.load_image(archive)

    assert "localhost/tiny:1" in images_on(cluster.node("spot-a"))
    node.return_()
    assert "localhost/tiny:1" in images_on(node)
    node.kill()
    node.return_(fresh_disk=True)
    assert "localhost/tiny:1" in images_on(node)


def test_an_archive_that_is_not_there_is_named(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match=r"nowhere\.tar"):
        cluster.load_image(tmp_path / "nowhere.tar")
