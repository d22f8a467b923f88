import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import spot_training as spot
from kit.stores import FaultyStore, failing
from kit.trainers import global_randomness
from spot_training.backends.local import LocalBackend
from spot_training.backends.local_search import when_reachable
from spot_training.checkpoint import keys
from spot_training.checkpoint.store import StoreError, Unreachable
from spot_training.checkpoint.stores.directory import DirectoryStore
from spot_training.run import Run
from spot_training.starting import start
from spot_training.state import TrainingState


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("SPOT_SOCKET", "SPOT_DIR", "SPOT_INTERVAL", "SPOT_GRACE_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    with global_randomness():
        yield


def settle(run: Run) -> str:
    assert run._ticket is not None
    assert run._ticket.wait(10)
    return run._ticket.state


def test_the_directory_comes_from_argument_then_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPOT_DIR", str(tmp_path / "environment"))
    monkeypatch.setenv("SPOT_INTERVAL", "7.5")
    run = spot.resume(arrays={"w": np.zeros(1)})
    assert (tmp_path / "environment" / keys.FORMAT).exists()
    assert run._backend.interval == 7.5
    run._backend.close()
    spot.resume(directory=tmp_path / "argument")._backend.close()
    assert (tmp_path / "argument" / keys.FORMAT).exists()


def test_without_either_it_is_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    spot.resume()._backend.close()
    assert (tmp_path / "spot-checkpoints" / keys.FORMAT).exists()
    assert str(tmp_path / "spot-checkpoints") in capsys.readouterr().err


def test_a_bad_interval_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOT_INTERVAL", "5m")
    with pytest.raises(ValueError, match="give seconds"):
        spot.resume()


def test_attempts_count_up(tmp_path: Path) -> None:
    for attempt in (1, 2, 3):
        run = spot.resume(directory=tmp_path)
        assert run.attempt == attempt
        run._backend.close()


def test_sigterm_pauses_with_the_step_committed(tmp_path: Path) -> None:
    w = np.zeros(3)
    run = spot.resume(arrays={"w": w}, directory=tmp_path)
    run.step()
    os.kill(os.getpid(), signal.SIGTERM)
    w += 5
    with pytest.raises(spot.Paused, match="PodDeletion from sigterm: step 2 is committed"):
        run.step()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    again = np.zeros(3)
    resumed = spot.resume(arrays={"w": again}, directory=tmp_path)
    assert resumed.current_step == 2
    np.testing.assert_array_equal(again, 5)
    resumed._backend.close()


def test_a_notice_file_pauses_and_does_not_outlive_its_attempt(tmp_path: Path) -> None:
    run = spot.resume(directory=tmp_path)
    (tmp_path / "notice.json").write_text(
        '{"kind":"Preempt","deadline":null,"source":"file","observedAt":"2026-01-02T03:04:05Z"}'
    )
    with pytest.raises(spot.Paused):
        run.step()
    resumed = spot.resume(directory=tmp_path)
    resumed.step()
    assert resumed.current_step == 2
    resumed._backend.close()


def test_a_save_that_fails_is_said_and_the_next_one_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = FaultyStore(
        DirectoryStore.prepare(tmp_path), failing("upload", error=Unreachable, times=1)
    )
    run = start(LocalBackend(tmp_path, interval=1000.0, store=store), TrainingState())
    run.step()
    run.save()
    assert settle(run) == "failed"
    assert "step 1 was not saved" in capsys.readouterr().err
    run.step()
    run.save()
    assert settle(run) == "committed"
    run._backend.close()


@pytest.mark.parametrize("below", [keys.COMMITS, keys.RECEIPTS])
def test_a_save_cut_off_half_way_is_finished_from_what_stands(tmp_path: Path, below: str) -> None:
    store = FaultyStore(
        DirectoryStore.prepare(tmp_path),
        failing("create", error=Unreachable, below=below, times=1),
    )
    run = start(LocalBackend(tmp_path, interval=1000.0, store=store), TrainingState())
    run.step()
    run.save()
    assert settle(run) == "failed"
    run.save()
    assert settle(run) == "committed"
    assert len(store.list(keys.COMMITS)) == 1
    run._backend.close()


def test_only_the_newest_three_stay(tmp_path: Path) -> None:
    run = spot.resume(directory=tmp_path)
    for _ in range(6):
        run.step()
        run.save()
        settle(run)
    run._backend.close()  # waits for the last pruning
    found = (keys.parse_commit(key) for key in DirectoryStore(tmp_path).list(keys.COMMITS))
    assert [parsed.step for parsed in found if parsed] == [6, 5, 4]


def test_a_growing_state_moves_to_larger_arenas(tmp_path: Path) -> None:
    extras: dict[str, str] = {}
    run = spot.resume(extras=extras, directory=tmp_path)
    for size in (10, 100_000, 1_000_000):
        extras["log"] = "x" * size
        run.step()
        assert run.save()
        assert settle(run) == "committed"
    run._backend.close()
    again: dict[str, str] = {}
    spot.resume(extras=again, directory=tmp_path)._backend.close()
    assert again == extras


def test_a_store_in_trouble_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    troubles: list[StoreError] = [Unreachable("away"), Unreachable("still away")]
    pauses: list[float] = []

    def action() -> str:
        if troubles:
            raise troubles.pop(0)
        return "there"

    assert when_reachable(action, pauses.append) == "there"
    assert len(pauses) == 2
    assert "waiting for the store: away" in capsys.readouterr().err


def test_leftovers_of_killed_writers_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".tmp").mkdir()
    (tmp_path / ".tmp" / "half").write_bytes(b"x")
    spot.resume(directory=tmp_path)._backend.close()
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_importing_needs_numpy_only() -> None:
    code = (
        "import sys, spot_training; "
        "heavy = {'boto3', 'botocore', 'awscrt', 'aiohttp', 'pydantic', 'torch', 'safetensors'}; "
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=environment)


FORKS = """
import os, signal, sys
import spot_training as spot

run = spot.resume(directory=sys.argv[1])
if os.fork():
    os.kill(os.getpid(), signal.SIGKILL)
sys.stdin.read()
"""


def test_a_child_that_outlives_a_killed_trainer_does_not_keep_its_directory(tmp_path: Path) -> None:
    """A loader's workers see only after seconds that their trainer is gone."""
    killed = subprocess.Popen(
        [sys.executable, "-c", FORKS, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, stdin=subprocess.PIPE,
    )  # fmt: skip
    with killed:
        assert killed.wait(timeout=60) == -signal.SIGKILL
        run = spot.resume(directory=tmp_path)
        assert run.attempt == 2
        run._backend.close()


def test_the_public_names_are_these() -> None:
    assert sorted(spot.__all__) == [
        "AlreadyCompleted", "Notice", "Order", "Paused", "Refused", "Run", "ShuffledBatches",
        "StateDiffers", "Stateful", "Stopped", "WrongData", "refuse", "resume", "resume_path",
        "seeded",
    ]  # fmt: skip
    assert all(hasattr(spot, name) for name in spot.__all__)
