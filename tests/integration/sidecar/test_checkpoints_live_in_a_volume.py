"""A mounted volume instead of a bucket: the same life, with real sidecar processes killed in it."""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path

import pytest
from kit.sidecar import JOB, a_pod, eventually
from kit.trainer_process import a_trainer
from spot_training.checkpoint import keys, selection, verify
from spot_training.checkpoint.stores.directory import DirectoryStore

ORDINARY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Root that permissions hold for, as for any other user."""


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    found = tmp_path / "volume"
    found.mkdir()
    return found


def lineage_in(volume: Path) -> DirectoryStore:
    return DirectoryStore(volume / "teams" / JOB["namespace"] / JOB["name"] / JOB["uid"])


def test_an_attempt_goes_on_where_a_killed_one_left_off(folder: Path, volume: Path) -> None:
    """The whole pod vanishes: trainer and sidecar by SIGKILL, in the middle of a save or not."""
    with a_pod(folder / "1", volume=volume, interval=0.1) as pod:
        pod.grant()
        with pod.sidecar() as sidecar, a_trainer(pod, steps=400, size=200_000) as trainer:
            trainer.reached(60)
            sidecar.kill()
            trainer.process.kill()
    store = lineage_in(volume)
    newest = keys.parse_commit(store.list(keys.COMMITS)[0])
    assert newest is not None
    with a_pod(folder / "2", volume=volume, attempt=2, interval=0.1) as pod:
        pod.grant(newest={"attempt": 1, "step": newest.step, "id": str(newest)})
        with pod.sidecar() as sidecar, a_trainer(pod, steps=100, size=200_000) as trainer:
            assert trainer.ended() == 0
            assert trainer.steps()[0] > newest.step
            assert sidecar.terminate() == 0
        assert pod.last_word()["word"] == "Finished"
    assert store.list(keys.MARKERS) == (keys.marker(2),)
    for key in store.list(keys.COMMITS):
        verdict = verify.verdict(store, str(keys.parse_commit(key)), node="any")
        assert isinstance(verdict, selection.Good)


def test_killed_again_and_again_the_sidecar_loses_no_step(folder: Path, volume: Path) -> None:
    chance = random.Random(7)
    with a_pod(folder, volume=volume, interval=0.1) as pod, contextlib.ExitStack() as stack:
        pod.grant()
        sidecar = stack.enter_context(pod.sidecar())
        trainer = stack.enter_context(a_trainer(pod, steps=200, size=200_000))
        for _ in range(4):
            trainer.reached(min(195, len(trainer.steps()) + chance.randint(1, 25)))
            sidecar.kill()
            sidecar = stack.enter_context(pod.sidecar())
        assert trainer.ended() == 0
        assert trainer.steps() == list(range(1, 201))
        assert sidecar.terminate() == 0
        assert pod.last_word()["commit"]["step"] == 200


def test_a_volume_that_may_not_be_written_is_reported_and_waited_for(
    folder: Path, volume: Path
) -> None:
    """The report says whom the directory must be given to; nothing has to be restarted then."""
    volume.chmod(0o555)
    with a_pod(folder / "pod", volume=volume) as pod:
        pod.grant()
        if os.geteuid() == 0:
            pod.launcher = ORDINARY
        with pod.sidecar():

            def problem() -> dict[str, str] | None:
                reports = pod.operator.reports if pod.operator else []
                return reports[-1]["problem"] if reports else None

            found = eventually("the problem", problem)
            assert found["kind"] == "StoreDenied"
            assert "fsGroup to 65532" in found["message"]
            assert f"user {os.geteuid()}" in found["message"]
            volume.chmod(0o755)
            eventually("the claim", lambda: _claims(volume))
            eventually("no problem any more", lambda: problem() is None)


def _claims(volume: Path) -> tuple[str, ...]:
    store = lineage_in(volume)
    return store.list(keys.CLAIMS) if store.root.is_dir() else ()
