"""Images as archives, and their records in the cache."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path
from typing import IO

import pytest
from toolchain.docker_archive import image_id, unpacked_bytes, write_image
from toolchain.layout import Cache
from toolchain.records import ImageRecord, current, publish, read_record, record_from, reference_for

CONFIG = {"Cmd": ["sh"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small root file system."""
    folder = tmp_path / "root"
    (folder / "etc").mkdir(parents=True)
    (folder / "etc/motd").write_text("hello\n")
    (folder / "etc/link").symlink_to("motd")
    os.link(folder / "etc/motd", folder / "etc/same")
    (folder / "etc/motd").chmod(0o640)
    os.utime(folder / "etc/motd", (1000, 1000))
    return folder


def an_image(archive: Path, root: Path, reference: str = "localhost/x:1") -> Path:
    write_image(archive, root, reference, config=CONFIG)
    return archive


def a_published(cache: Cache, name: str, key: str, root: Path) -> ImageRecord:
    def make(archive: Path, reference: str) -> None:
        an_image(archive, root, reference)

    return publish(cache, name, key, make)


def member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    handle = archive.extractfile(name)
    assert handle is not None
    return handle


def test_an_archive_holds_the_tree_as_it_was(tmp_path: Path, root: Path) -> None:
    archive = an_image(tmp_path / "image.tar", root)
    with tarfile.open(archive) as outer:
        manifest = json.load(member(outer, "manifest.json"))[0]
        with tarfile.open(fileobj=member(outer, manifest["Layers"][0])) as layer:
            entries = {entry.name: entry for entry in layer.getmembers()}
    assert sorted(entries) == ["etc", "etc/link", "etc/motd", "etc/same"]
    assert (entries["etc/motd"].mode, entries["etc/motd"].mtime) == (0o640, 1000)
    assert entries["etc/link"].linkname == "motd"
    assert entries["etc/same"].islnk()
    assert entries["etc/motd"].uname == ""


def test_an_archive_names_its_image_and_digests_its_layer(tmp_path: Path, root: Path) -> None:
    archive = an_image(tmp_path / "image.tar", root, "localhost/some/name:tag")
    with tarfile.open(archive) as outer:
        manifest = json.load(member(outer, "manifest.json"))[0]
        described = member(outer, manifest["Config"]).read()
        layer = member(outer, manifest["Layers"][0]).read()
    assert manifest["RepoTags"] == ["localhost/some/name:tag"]
    assert json.loads(described)["config"] == CONFIG
    assert json.loads(described)["rootfs"]["diff_ids"] == [
        f"sha256:{hashlib.sha256(layer).hexdigest()}"
    ]
    assert image_id(archive) == f"sha256:{hashlib.sha256(described).hexdigest()}"
    assert unpacked_bytes(archive) == len(layer)


def test_the_same_tree_makes_the_same_bytes(tmp_path: Path, root: Path) -> None:
    first = an_image(tmp_path / "a.tar", root).read_bytes()
    assert an_image(tmp_path / "b.tar", root).read_bytes() == first
    assert list(tmp_path.glob("*.layer")) == []


def test_a_published_image_is_found_by_name_and_key(tmp_path: Path, root: Path) -> None:
    cache = Cache(tmp_path / "cache")
    made = a_published(cache, "pause", "k1", root)
    assert made.reference == reference_for("pause", "k1") == "localhost/spot-training/pause:k1"
    assert read_record(cache, "pause") == made
    assert current(cache, "pause", "k1") == made
    assert current(cache, "pause", "k2") is None
    assert (cache.images / "pause.tar").resolve() == made.archive
    assert record_from(made.to_json()) == made


def test_a_record_without_its_archive_does_not_count(tmp_path: Path, root: Path) -> None:
    cache = Cache(tmp_path / "cache")
    made = a_published(cache, "pause", "k1", root)
    made.archive.unlink()
    assert read_record(cache, "pause") is None


def test_a_failed_build_leaves_the_image_before_it(tmp_path: Path, root: Path) -> None:
    cache = Cache(tmp_path / "cache")
    made = a_published(cache, "pause", "k1", root)

    def fails(archive: Path, _reference: str) -> None:
        archive.write_bytes(b"half")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        publish(cache, "pause", "k2", fails)
    assert read_record(cache, "pause") == made


def test_only_the_newest_two_archives_of_an_image_are_kept(tmp_path: Path, root: Path) -> None:
    cache = Cache(tmp_path / "cache")
    for time, (name, key) in enumerate(
        [("base", "k1"), ("base-build", "k1"), ("base", "k2"), ("base", "k3")]
    ):
        made = a_published(cache, name, key, root)
        os.utime(made.archive, (time, time))
    kept = sorted(path.name for path in cache.images.glob("*-k?.tar"))
    assert kept == ["base-build-k1.tar", "base-k2.tar", "base-k3.tar"]
