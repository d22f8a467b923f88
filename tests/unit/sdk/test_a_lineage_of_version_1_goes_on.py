"""A lineage that a script left behind with the first version: every later version goes on with it.

When this fails the format has changed. Raise the schema, keep these files, and add new ones.
"""

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spot_training as spot
from kit.trainers import global_randomness
from spot_training import snapshots
from spot_training.checkpoint import keys, layout, records, verify
from spot_training.checkpoint.digest import digest_payload
from spot_training.checkpoint.manifest import (
    Choice,
    Claim,
    Expired,
    Format,
    Manifest,
    Marker,
    Pin,
    Post,
    Receipt,
    Tombstone,
    Verified,
)
from spot_training.checkpoint.selection import Good
from spot_training.checkpoint.stores.directory import DirectoryStore

GOLDEN = Path(__file__).parents[2] / "golden" / "format" / "v1" / "lineage"
ID = "a00000001-s000000000001-0123abcd"
DOCUMENTS = {
    keys.FORMAT: Format,
    keys.claim(1, 0): Claim,
    keys.receipt(ID, 0): Receipt,
    keys.commit(ID): Manifest,
    keys.verified(ID): Verified,
    keys.tombstone("a00000001-s000000000000-0123abcd"): Tombstone,
    keys.pin(ID): Pin,
    keys.expired("a00000001-s000000000000-0123abcd"): Expired,
    keys.choice(1, 0): Choice,
    keys.post(1, 0, 0): Post,
    keys.marker(1): Marker,
}


@pytest.fixture
def lineage(tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(GOLDEN, tmp_path / "lineage")
    with global_randomness():
        yield tmp_path / "lineage"


def test_every_kind_of_file_is_here() -> None:
    found = {str(path.relative_to(GOLDEN)) for path in GOLDEN.rglob("*") if path.is_file()}
    assert found == {*DOCUMENTS, keys.data(ID, 0, 0)}


@pytest.mark.parametrize("key", DOCUMENTS)
def test_documents_are_read_and_written_the_same(key: str) -> None:
    body = (GOLDEN / key).read_bytes()
    assert records.dump(records.load(DOCUMENTS[key], body)) == body


def test_the_checkpoint_verifies(lineage: Path) -> None:
    store = DirectoryStore(lineage)
    assert verify.verdict(store, ID, node="n1") == Good()
    (item,) = verify.read_manifest(store, ID).objects
    into = memoryview(bytearray(item.size))
    store.download(item.key, into, item.digests)
    ranges = layout.parse(into).ranges()
    assert digest_payload(into, tensors=ranges, algorithm_name=item.algorithm) == item.digests


def test_the_snapshot_has_the_layout_it_would_be_given_today() -> None:
    payload = memoryview((GOLDEN / keys.data(ID, 0, 0)).read_bytes())
    arrays, plain = snapshots.read(payload)
    specs = {name: layout.spec_of(array) for name, array in arrays.items()}
    found = layout.parse(payload)
    room = found.slots[-1].end - found.slots[-1].start
    again = layout.plan(specs, state_bytes=(room - 8) // 2)
    assert (again.header, again.slots) == (found.header, found.slots)
    assert sorted(plain) == ["extras", "objects", "position", "rng", "schema"]


def test_training_goes_on_exactly(lineage: Path) -> None:
    (lineage / keys.marker(1)).unlink()
    w = np.zeros((3, 4), dtype="<f4")
    m = {"v": np.zeros(3), "bits": np.zeros(2, dtype=bool)}
    extras: dict[str, Any] = {}
    run = spot.resume(arrays={"w": w, "m": m}, extras=extras, seed=17, directory=lineage)
    np.testing.assert_array_equal(w, np.arange(12).reshape(3, 4) + 1)
    np.testing.assert_array_equal(m["v"], np.arange(3) / 8)
    np.testing.assert_array_equal(m["bits"], [True, False])
    assert extras == {
        "best": 0.25, "tuple": (1, b"x", {2: None}), "milestones": Counter({30: 1}),
        "inf": float("inf"), "scalar": np.float32(1.5),
    }  # fmt: skip
    assert type(extras["scalar"]) is np.float32
    assert (run.current_step, run.samples, run.metrics) == (1, 4, {"loss": 0.5})
    drawn = (run.rng.random(), random.random(), np.random.random())
    assert drawn == (0.8450747927979015, 0.023485592542099587, 0.08606933188801225)
    next(run.epochs(2))
    assert list(next(run.batches(spot.ShuffledBatches(10, 4, seed=3)))) == [1, 4, 7, 5]
    run._backend.close()


def test_a_completed_lineage_stays_completed(lineage: Path) -> None:
    with pytest.raises(spot.AlreadyCompleted):
        spot.resume(directory=lineage)
