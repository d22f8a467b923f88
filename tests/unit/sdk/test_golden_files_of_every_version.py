"""Today's writer writes what stands; today's reader reads what any version has written.

When the first test fails the format has changed: raise the schema (see docs/checkpoints-format.md)
or, within an unreleased version, see hack/golden_format.py. Never touch an older version's files.
"""

from __future__ import annotations

import dataclasses
import inspect
import shutil
from pathlib import Path

import numpy as np
import pytest
from kit import golden_format
from kit.golden_format import ARENA, IDS, KINDS, PROGRESS, ROOT, VERSION
from spot_training import snapshots
from spot_training.checkpoint import codec, keys, manifest, records, verify
from spot_training.checkpoint.arena import Arena, Control
from spot_training.checkpoint.selection import Good
from spot_training.checkpoint.stores.directory import DirectoryStore
from spot_training.progress import Progress, read_progress

VERSIONS = sorted(ROOT.iterdir())
TODAY = ROOT / f"v{VERSION}" / "written"


@pytest.fixture(params=VERSIONS, ids=lambda path: path.name)
def version(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a version's files."""
    copy = tmp_path / "written"
    shutil.copytree(request.param / "written", copy)
    return copy


def test_todays_writer_writes_exactly_the_golden_files() -> None:
    found = {str(p.relative_to(TODAY)): p.read_bytes() for p in TODAY.rglob("*") if p.is_file()}
    made = golden_format.written()
    assert sorted(made) == sorted(found), "python hack/golden_format.py adds what is missing"
    assert [name for name, body in made.items() if body != found[name]] == []


def test_every_kind_of_document_has_a_golden_file() -> None:
    kinds = {
        kind
        for _, kind in inspect.getmembers(manifest, inspect.isclass)
        if "schema" in {field.name for field in getattr(kind, "__dataclass_fields__", {}).values()}
    }
    assert kinds == set(KINDS.values())


def test_no_version_is_forgotten() -> None:
    assert [path.name for path in VERSIONS] == [f"v{n}" for n in range(1, VERSION + 1)]


@pytest.mark.parametrize("key", KINDS)
def test_documents_are_read_and_keep_what_they_say(key: str, version: Path) -> None:
    body = (version / key).read_bytes()
    document = records.load(KINDS[key], body)
    assert records.load(KINDS[key], records.dump(document)) == document
    newer = dataclasses.replace(document, extra={"fromLater": {"x": [1]}})
    assert records.load(KINDS[key], records.dump(newer)).extra == {"fromLater": {"x": [1]}}


def test_checkpoints_verify_with_their_ranks_own_algorithms(version: Path) -> None:
    store = DirectoryStore(version)
    assert verify.verdict(store, IDS[1], node="n1") == Good()
    objects = verify.read_manifest(store, IDS[1]).objects
    assert [item.algorithm for item in objects] == list(golden_format.ALGORITHMS)
    for rank, item in enumerate(objects):
        into = memoryview(bytearray(item.size))
        store.download(item.key, into, item.digests)
        _expect_state(into, rank)


def test_arenas_and_progress_are_read(version: Path) -> None:
    arena = Arena(version / ARENA)
    control = arena.control()
    payload = (version / keys.data(IDS[1], 0, 0)).read_bytes()
    assert control == Control(generation=4, step=20, payload_bytes=len(payload))
    assert bytes(arena.snapshot(4)) == payload
    arena.close()
    assert read_progress(version / PROGRESS) == Progress(20, 640, 1, 1767323045.5, 0.25)


def _expect_state(payload: memoryview, rank: int) -> None:
    arrays, plain = snapshots.read(payload)
    wanted, plain_wanted = golden_format.state(rank)
    assert set(arrays) == set(wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(arrays[name], array, strict=True)
    assert plain.pop("schema") == 1
    assert plain == plain_wanted
    assert codec.from_plain(plain["extras"])["tuple"] == (1, b"x", {2: None})
