"""The corruption table on a local lineage: fall back to the newest that verifies, or stop."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import spot_training as spot
from kit.trainers import global_randomness
from spot_training.backends.local import LocalBackend
from spot_training.checkpoint import keys, records
from spot_training.checkpoint.codec import Array
from spot_training.checkpoint.manifest import Format, Tombstone
from spot_training.checkpoint.stores.directory import DirectoryStore
from spot_training.run import Run
from spot_training.starting import start
from spot_training.state import TrainingState

STEPS = (10, 20, 30)
Damage = Callable[["Lineage", str], object]


@dataclasses.dataclass
class Lineage:
    """A directory with checkpoints of steps 10, 20 and 30; `w` equals the step in each."""

    root: Path

    def begin(self) -> tuple[Run, Array]:
        w = np.zeros(5000)
        backend = LocalBackend(self.root, interval=1000.0)
        return start(backend, TrainingState(arrays={"w": w})), w

    def train(self) -> None:
        run, w = self.begin()
        for step in range(1, STEPS[-1] + 1):
            w[:] = step
            run.step()
            if step in STEPS:
                assert run.save()
                assert run._ticket is not None
                assert run._ticket.wait(10)
        run._backend.close()

    def resumed_step(self) -> int:
        run, w = self.begin()
        run._backend.close()
        np.testing.assert_array_equal(w, run.current_step)
        return run.current_step

    def ids(self) -> list[str]:
        """Newest first."""
        found = (keys.parse_commit(key) for key in DirectoryStore(self.root).list(keys.COMMITS))
        return [str(parsed) for parsed in found if parsed]

    def data(self, checkpoint: str) -> Path:
        return self.root / keys.data(checkpoint, 0, 0)

    def buried(self) -> list[str]:
        return list(DirectoryStore(self.root).list(keys.TOMBSTONES))


@pytest.fixture(autouse=True)
def _global_randomness() -> Iterator[None]:
    with global_randomness():
        yield


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    found = Lineage(tmp_path / "lineage")
    found.train()
    return found


def truncate(lineage: Lineage, checkpoint: str) -> None:
    with lineage.data(checkpoint).open("r+b") as file:
        file.truncate(20_000)


def empty(lineage: Lineage, checkpoint: str) -> None:
    lineage.data(checkpoint).write_bytes(b"")


def flip(lineage: Lineage, checkpoint: str) -> None:
    body = bytearray(lineage.data(checkpoint).read_bytes())
    body[30_000] ^= 4
    lineage.data(checkpoint).write_bytes(body)


def flip_the_header(lineage: Lineage, checkpoint: str) -> None:
    body = bytearray(lineage.data(checkpoint).read_bytes())
    body[20] ^= 1
    lineage.data(checkpoint).write_bytes(body)


def zero(lineage: Lineage, checkpoint: str) -> None:
    path = lineage.data(checkpoint)
    path.write_bytes(bytes(path.stat().st_size))


def swap(lineage: Lineage, checkpoint: str) -> None:
    """Another checkpoint's whole and valid file of the same size."""
    oldest = lineage.ids()[-1]
    lineage.data(checkpoint).write_bytes(lineage.data(oldest).read_bytes())


def append(lineage: Lineage, checkpoint: str) -> None:
    with lineage.data(checkpoint).open("ab") as file:
        file.write(b"more")


def delete(lineage: Lineage, checkpoint: str) -> None:
    lineage.data(checkpoint).unlink()


def spoil_the_manifest(lineage: Lineage, checkpoint: str) -> None:
    path = lineage.root / keys.commit(checkpoint)
    path.write_bytes(path.read_bytes().replace(b'"epoch":0', b'"epoch":1'))


def cut_the_manifest(lineage: Lineage, checkpoint: str) -> None:
    path = lineage.root / keys.commit(checkpoint)
    path.write_bytes(path.read_bytes()[:100])


DAMAGES: list[Damage] = [
    truncate, empty, flip, flip_the_header, zero, swap, append, delete, spoil_the_manifest,
    cut_the_manifest,
]  # fmt: skip


def test_a_whole_lineage_resumes_at_the_newest(lineage: Lineage) -> None:
    assert lineage.resumed_step() == 30
    assert lineage.buried() == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_one_damaged_checkpoint_is_quarantined_and_passed_over(
    lineage: Lineage, damage: Damage
) -> None:
    newest = lineage.ids()[0]
    damage(lineage, newest)
    assert lineage.resumed_step() == 20
    assert lineage.buried() == [keys.tombstone(newest)]
    tombstone = records.load(Tombstone, (lineage.root / keys.tombstone(newest)).read_bytes())
    assert tombstone.evidence
    assert lineage.resumed_step() == 20


@pytest.mark.parametrize("damage", [truncate, delete, spoil_the_manifest])
def test_several_that_the_store_shows_to_be_damaged_are_passed_over(
    lineage: Lineage, damage: Damage
) -> None:
    for checkpoint in lineage.ids()[:2]:
        damage(lineage, checkpoint)
    assert lineage.resumed_step() == 10
    assert len(lineage.buried()) == 2


def test_two_whose_bytes_differ_on_one_machine_condemn_the_machine(lineage: Lineage) -> None:
    for checkpoint in lineage.ids()[:2]:
        flip(lineage, checkpoint)
    for _ in range(2):
        with pytest.raises(spot.Stopped) as stop:
            lineage.begin()
        assert stop.value.word == "BadNode"
    assert lineage.buried() == []


def test_a_second_machine_clears_the_first(
    lineage: Lineage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for checkpoint in lineage.ids()[:2]:
        flip(lineage, checkpoint)
    with pytest.raises(spot.Stopped):
        lineage.begin()
    monkeypatch.setattr("spot_training.backends.local.node_identity", lambda: "another machine")
    assert lineage.resumed_step() == 10
    assert len(lineage.buried()) == 2


@pytest.mark.parametrize("damage", [truncate, delete, spoil_the_manifest])
def test_when_all_are_damaged_it_stops(lineage: Lineage, damage: Damage) -> None:
    for checkpoint in lineage.ids():
        damage(lineage, checkpoint)
    with pytest.raises(spot.Stopped, match="NoValidCheckpoint"):
        lineage.begin()


def test_a_lineage_that_lost_its_format_record_is_not_begun_anew(lineage: Lineage) -> None:
    (lineage.root / keys.FORMAT).unlink()
    with pytest.raises(spot.Stopped, match=r"format\.json is missing"):
        lineage.begin()
    assert lineage.buried() == []


@pytest.mark.parametrize("newer", ["schema", "min_reader"])
def test_a_newer_format_stops_and_quarantines_nothing(lineage: Lineage, newer: str) -> None:
    record = Format(created_at="2026-01-02T03:04:05Z", **{newer: 2})  # type: ignore[arg-type]
    (lineage.root / keys.FORMAT).write_bytes(records.dump(record))
    with pytest.raises(spot.Stopped, match="upgrade spot-training"):
        lineage.begin()
    assert lineage.buried() == []


def test_a_commit_that_was_lost_to_a_crash_is_rolled_forward(lineage: Lineage) -> None:
    (lineage.root / keys.commit(lineage.ids()[0])).unlink()
    assert lineage.resumed_step() == 30


def test_a_snapshot_that_was_never_committed_is_no_checkpoint(lineage: Lineage) -> None:
    newest = lineage.ids()[0]
    (lineage.root / keys.commit(newest)).unlink()
    (lineage.root / keys.receipt(newest, 0)).unlink()
    assert lineage.resumed_step() == 20
    assert not lineage.data(newest).exists(), "unused data goes"


def test_what_was_completed_is_not_trained_again(lineage: Lineage) -> None:
    run, _ = lineage.begin()
    run.complete()
    with pytest.raises(spot.AlreadyCompleted):
        lineage.begin()


def test_two_processes_never_train_in_one_directory(lineage: Lineage) -> None:
    run, _ = lineage.begin()
    with pytest.raises(RuntimeError, match="another process is training"):
        lineage.begin()
    run._backend.close()
    assert lineage.resumed_step() == 30
