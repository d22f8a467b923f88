"""What is written down of a cluster is read back the same, and only good places are used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cluster import PreconditionError, parse_nodes
from cluster.records import (
    Home,
    Record,
    all_records,
    checked_id,
    from_json,
    locked,
    state_root,
    to_json,
)
from cluster.sweep import mounts_below

RECORD = Record(
    id="one",
    slot=3,
    phase="up",
    access_key="A",
    secret_key="S",
    controllers=True,
    lease_seconds=10,
    grace_seconds=50,
    nodes=parse_nodes("spot=2,on-demand=1"),
)


@pytest.mark.parametrize("nodes", [RECORD.nodes, (), None], ids=["some", "no", "api only"])
def test_a_record_survives_writing(nodes: None) -> None:
    record = replace(RECORD, nodes=nodes)
    assert from_json(to_json(record)) == record


def test_a_record_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path, "one")
    home.write(RECORD)
    assert (home.path / "cluster.json").stat().st_mode & 0o077 == 0


def test_all_clusters_of_a_root_are_found(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Home(tmp_path, name).write(replace(RECORD, id=name))
    (tmp_path / "unfinished").mkdir()
    assert {record.id for record in all_records(tmp_path)} == {"one", "two"}


@pytest.mark.parametrize("text", ["", "{}", '{"id": "one", "nodes": [{"x": 1}]}'])
def test_a_record_of_another_version_says_how_to_go_on(tmp_path: Path, text: str) -> None:
    home = Home(tmp_path, "one")
    home.path.mkdir()
    (home.path / "cluster.json").write_text(text)
    with pytest.raises(PreconditionError, match="down --id one"):
        home.read()


@pytest.mark.parametrize("bad", ["", "UP", "a-b", "toolongid", "../x", "ä"])
def test_ids_that_cannot_name_a_link_are_refused(bad: str) -> None:
    with pytest.raises(PreconditionError, match="1 to 8"):
        checked_id(bad)


@pytest.mark.parametrize("hidden", ["/run/x", "/var/lib/x", "/var/log"])
def test_places_that_nodes_cannot_see_are_refused(hidden: str) -> None:
    with pytest.raises(PreconditionError, match="choose another"):
        state_root({"SPOT_CLUSTER_DIR": hidden})


def test_the_root_is_the_one_asked_for(tmp_path: Path) -> None:
    assert state_root({"SPOT_CLUSTER_DIR": str(tmp_path)}) == tmp_path


def test_two_commands_do_not_work_on_one_place(tmp_path: Path) -> None:
    place = tmp_path / "cluster"
    with (
        locked(place),
        pytest.raises(PreconditionError, match="another command"),
        locked(place, within=0.1),
    ):
        pass
    with locked(place, within=0.1):
        assert place.is_dir()


def test_mounts_are_undone_innermost_first_and_only_ours() -> None:
    table = """\
proc /proc proc rw 0 0
a /state/one/nodes tmpfs rw 0 0
b /state/one/nodes/x/y tmpfs rw 0 0
c /state/ones tmpfs rw 0 0
"""
    assert mounts_below(Path("/state/one"), table) == ["/state/one/nodes/x/y", "/state/one/nodes"]
