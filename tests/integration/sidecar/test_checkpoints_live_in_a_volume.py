"""A mounted volume instead of a bucket: the same life, with real sidecar processes killed in it."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.sidecar import PodFolder, a_pod, lineage_in
from kit.trainer_process import a_trainer
from spot_training.checkpoint import keys, selection, verify
from spot_training.checkpoint.store import Store
from spot_training.cli import app

LAST = 3
"""The attempt that is not killed."""


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    found = tmp_path / "volume"
    found.mkdir()
    return found


def origin(store: Store) -> dict[str, object] | None:
    """The newest checkpoint, as the job's status records it."""
    found = [keys.parse_commit(key) for key in store.list(keys.COMMITS)]
    return next(
        ({"attempt": one.attempt, "step": one.step, "id": str(one)} for one in found if one), None
    )


@contextlib.contextmanager
def attempt_of(folder: Path, volume: Path, attempt: int) -> Iterator[PodFolder]:
    """A granted pod of this attempt, on the volume that all attempts share."""
    with a_pod(folder / str(attempt), volume=volume, attempt=attempt, interval=0.1) as pod:
        pod.grant(newest=origin(lineage_in(volume)) if attempt > 1 else None)
        yield pod


def test_each_attempt_goes_on_where_a_killed_one_left_off(folder: Path, volume: Path) -> None:
    """The whole pod vanishes: trainer and sidecar by SIGKILL, in the middle of a save or not."""
    chance = random.Random(11)
    store = lineage_in(volume)
    made: dict[int, float] = {}
    for attempt in range(1, LAST + 1):
        newest = origin(store) if attempt > 1 else None
        with attempt_of(folder, volume, attempt) as pod, pod.sidecar() as sidecar:
            end = 10_000 if attempt < LAST else max(made) + 20
            with a_trainer(pod, steps=end, pause=0.01, size=200_000) as trainer:
                if attempt < LAST:
                    trainer.reached((int(str(newest["step"])) if newest else 0) + 15)
                    time.sleep(chance.uniform(0, 0.1))  # anywhere within a save
                    sidecar.kill()
                    trainer.kill()
                else:
                    assert trainer.ended() == 0
                    assert sidecar.terminate() == 0
                steps = trainer.steps()
                assert steps[0] > (int(str(newest["step"])) if newest else 0)
                for line in trainer.lines():
                    if line["event"] == "step":  # a step that is done again has the same result
                        assert made.setdefault(line["step"], line["w"]) == line["w"]
    assert store.list(keys.MARKERS) == (keys.marker(LAST),)
    for key in store.list(keys.COMMITS):
        verdict = verify.verdict(store, str(keys.parse_commit(key)), node="any")
        assert isinstance(verdict, selection.Good)


def test_of_two_attempts_on_one_volume_the_later_one_stands(folder: Path, volume: Path) -> None:
    """The node of the first was thought lost and is not: it stops itself and outranks nothing."""
    store = lineage_in(volume)
    with (
        attempt_of(folder, volume, 1) as first,
        first.sidecar() as zombie,
        a_trainer(first, steps=10_000, pause=0.02) as its_trainer,
    ):
        its_trainer.reached(20)
        with (
            attempt_of(folder, volume, 2) as second,
            second.sidecar() as sidecar,
            a_trainer(second, steps=60, pause=0.02) as trainer,
        ):
            assert its_trainer.ended(30) == 0
            assert zombie.terminate() == 0
            assert first.last_word()["word"] == "Superseded"
            assert trainer.ended() == 0
            assert sidecar.terminate() == 0
            assert second.last_word()["word"] == "Finished"
    standing = [keys.parse_commit(key) for key in store.list(keys.COMMITS)]
    attempts = [one.attempt for one in standing if one]
    assert attempts == sorted(attempts, reverse=True)
    assert set(attempts) == {1, 2}
    assert store.list(keys.MARKERS) == (keys.marker(2),)


def test_killed_again_and_again_the_sidecar_loses_no_step(
    folder: Path, volume: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(7)
    with a_pod(folder, volume=volume, interval=0.1) as pod, contextlib.ExitStack() as stack:
        pod.grant()
        sidecar = stack.enter_context(pod.sidecar())
        trainer = stack.enter_context(a_trainer(pod, steps=100, size=200_000))
        for _ in range(3):
            trainer.reached(min(95, len(trainer.steps()) + chance.randint(1, 25)))
            sidecar.kill()
            sidecar = stack.enter_context(pod.sidecar())
        assert trainer.ended() == 0
        assert trainer.steps() == list(range(1, 101))
        assert sidecar.terminate() == 0
        assert pod.last_word()["commit"]["step"] == 100
    expect_the_command_to_read(volume, capsys)


def expect_the_command_to_read(volume: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a person would, in a pod that mounts the volume."""
    lineage = str(lineage_in(volume).root)
    assert app.main(["checkpoints", "ls", str(volume)]) != 0
    assert lineage in capsys.readouterr().err
    assert app.main(["checkpoints", "ls", lineage]) == 0
    assert "a1-s100" in capsys.readouterr().out
    assert app.main(["checkpoints", "verify", lineage, "newest"]) == 0
