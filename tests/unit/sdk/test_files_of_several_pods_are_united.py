"""The union of what several pods' scripts wrote, and where it is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.checkpoints import a_file, a_file_receipt, an_id
from spot_training.checkpoint import commit, keys, records
from spot_training.checkpoint.manifest import Receipt
from spot_training.checkpoint.records import Damaged
from spot_training.checkpoint.union import Conflict, union

Written = tuple[tuple[str, bytes], ...]
AT = "2026-01-02T03:04:05Z"


def test_every_path_is_there_once_by_path() -> None:
    first = [a_file("c-1/state", b"same"), a_file("c-1/rng_0", b"0")]
    second = [a_file("c-1/state", b"same", rank=1), a_file("c-1/rng_1", b"1", rank=1)]
    found = union([*second, *first])
    assert [item.file.path for item in found if item.file] == [
        "c-1/rng_0",
        "c-1/rng_1",
        "c-1/state",
    ]


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        ((("c/a", b"1"),), (("c/a", b"2"),), ["c/a"]),
        ((("c/a", b"1"), ("c/b", b"1")), (("c/b", b"22"), ("c/a", b"2")), ["c/a", "c/b"]),
        ((("c", b"1"),), (("c/a", b"1"),), ["c/a"]),
        ((("c/a/b/d", b"1"),), (("c/a", b"1"),), ["c/a/b/d"]),
    ],
)
def test_conflicts_are_refused_by_name(first: Written, second: Written, named: list[str]) -> None:
    items = [a_file(path, body) for path, body in first]
    items += [a_file(path, body, rank=1) for path, body in second]
    with pytest.raises(Conflict, match="several pods wrote") as refused:
        union(items)
    assert list(refused.value.paths) == named
    assert all(path in str(refused.value) for path in named)


def test_only_a_few_of_many_conflicts_are_told() -> None:
    items = [a_file(f"c/{n:02d}", bytes([rank]), rank=rank) for n in range(20) for rank in (0, 1)]
    with pytest.raises(Conflict) as refused:
        union(items)
    assert len(refused.value.paths) == 20
    assert str(refused.value).count("c/") == 8


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../b", "a//b", ".", "a\0b", "a/"])
def test_a_path_that_leaves_the_directory_is_damage(path: str) -> None:
    with pytest.raises(Damaged, match="not a path inside"):
        union([a_file(path, b"x")])


def test_a_commit_of_pods_that_contradict_each_other_is_refused() -> None:
    receipts = [
        a_file_receipt({"c-1/same": b"x", "c-1/w": bytes([rank])}, rank=rank, ranks=2)
        for rank in (0, 1)
    ]
    with pytest.raises(commit.Disagreement, match="c-1/w"):
        commit.build_manifest(receipts, committed_at=AT)


def test_a_manifest_of_files_reads_back_and_gives_each_rank_its_own() -> None:
    receipts = [
        a_file_receipt({"c-1/same": b"x", f"c-1/r{rank}": b"y"}, rank=rank, ranks=2)
        for rank in (0, 1)
    ]
    manifest = commit.build_manifest(receipts, committed_at=AT)
    assert records.load(type(manifest), records.dump(manifest)) == manifest
    assert len(union(manifest.objects)) == 3
    assert [item.file.path for item in manifest.objects_of(1) if item.file] == [
        "c-1/r1",
        "c-1/same",
    ]
    assert records.load(Receipt, records.dump(receipts[0])) == receipts[0]


def test_the_key_of_a_file_is_its_index() -> None:
    key = keys.data_file(an_id(), 3, 12)
    assert key == f"data/{an_id()}/r00003-f00012"
    assert keys.parse_data(key) == (an_id(), 3, 12)


def test_an_object_without_a_file_is_written_as_before() -> None:
    item = a_file("c-1/w", b"x")
    assert "file" not in records.to_json(replace(item, file=None))
    assert records.to_json(item)["file"] == {"path": "c-1/w", "mode": 0o600, "uid": 1, "gid": 2}
