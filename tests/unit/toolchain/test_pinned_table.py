"""The table of programs, the go.mod files behind it and the cache agree with each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from toolchain.binaries import BINARIES, Binary, Family, named, required, required_version
from toolchain.errors import ToolchainError
from toolchain.layout import Cache, cache_from

FAMILIES = sorted({binary.family for binary in BINARIES}, key=lambda family: family.name)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_tables_version_is_the_one_that_go_mod_requires(family: Family) -> None:
    assert required_version((family.folder / "go.mod").read_text(), family.module) == family.version


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_go_sum_pins_the_module_by_hash(family: Family) -> None:
    lines = (family.folder / "go.sum").read_text().splitlines()
    assert any(line.startswith(f"{family.module} {family.version} h1:") for line in lines)


@pytest.mark.parametrize("binary", BINARIES, ids=lambda binary: binary.name)
def test_every_program_is_a_tool_of_its_family(binary: Binary) -> None:
    words = (binary.family.folder / "go.mod").read_text().split()
    assert binary.package in words
    assert binary.expected_seconds > 0


def test_no_family_is_without_a_program() -> None:
    folders = {path.name for path in FAMILIES[0].folder.parent.iterdir() if path.is_dir()}
    assert folders == {family.name for family in FAMILIES}


def test_names_are_unique_and_the_control_plane_comes_first() -> None:
    names = [binary.name for binary in BINARIES]
    assert len(set(names)) == len(names)
    assert names[:2] == ["etcd", "kube-apiserver"]
    assert not {"kwok", "toxiproxy", "kubeconform"} & {binary.name for binary in required()}


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ToolchainError, match=r"no program is called 'etcdd'.*kube-apiserver"):
        named("etcdd")


@pytest.mark.parametrize(
    ("go_mod", "version"),
    [
        ("require (\n\texample.org/a v1.2.3 // indirect\n)", "v1.2.3"),
        ("require example.org/a v0.1.0-rc.1\n", "v0.1.0-rc.1"),
        ("require (\n\texample.org/a/v2 v2.0.0\n)", None),
        ("require (\n\tother.org/example.org/a v1.0.0\n)", None),
    ],
)
def test_the_required_version_is_read_from_both_forms(go_mod: str, version: str | None) -> None:
    assert required_version(go_mod, "example.org/a") == version


def a_placed_program(binary: Binary, cache: Cache, recipe: str) -> None:
    binary.folder(cache).mkdir(parents=True)
    binary.program(cache).write_bytes(b"program")
    (binary.folder(cache) / "recipe").write_text(recipe)
    cache.bin.mkdir(parents=True)
    (cache.bin / binary.name).symlink_to(binary.program(cache))


def test_a_program_counts_as_built_only_by_todays_recipe(tmp_path: Path) -> None:
    binary, cache = named("etcd"), Cache(tmp_path)
    assert not binary.is_built(cache)
    a_placed_program(binary, cache, binary.recipe())
    assert binary.is_built(cache)
    (binary.folder(cache) / "recipe").write_text("yesterday's")
    assert not binary.is_built(cache)


def test_a_program_without_its_link_is_not_built(tmp_path: Path) -> None:
    binary, cache = named("etcd"), Cache(tmp_path)
    a_placed_program(binary, cache, binary.recipe())
    (cache.bin / binary.name).unlink()
    assert not binary.is_built(cache)


@pytest.mark.parametrize(
    ("environ", "root"),
    [
        ({"HOME": "/home/ada"}, "/home/ada/.cache/spot-training-operator"),
        ({"HOME": "/home/ada", "SPOT_CACHE": "/mnt/cache"}, "/mnt/cache"),
        ({"HOME": "/home/ada", "SPOT_CACHE": ""}, "/home/ada/.cache/spot-training-operator"),
    ],
)
def test_the_cache_lies_where_spot_cache_says(environ: dict[str, str], root: str) -> None:
    assert cache_from(environ).root == Path(root)
