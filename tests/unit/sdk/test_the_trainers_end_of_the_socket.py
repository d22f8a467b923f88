"""SidecarBackend against a scripted sidecar."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spot_training as spot
from kit.checkpoints import AT, a_receipt
from kit.fake_sidecar import FakeSidecar, serving
from kit.trainers import global_randomness
from spot_training.backends import container
from spot_training.backends.sidecar import SidecarBackend
from spot_training.checkpoint import records
from spot_training.checkpoint.arena import Arena
from spot_training.checkpoint.commit import build_manifest
from spot_training.progress import read_progress
from spot_training.run import Run
from spot_training.starting import start
from spot_training.state import TrainingState
from spot_training.times import rfc3339, utc_now


@pytest.fixture(autouse=True)
def _global_randomness() -> Iterator[None]:
    with global_randomness():
        yield


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[FakeSidecar]:
    with serving(FakeSidecar(tmp_path)) as found:
        yield found


def begin(sidecar: FakeSidecar, **arrays: Any) -> Run:
    backend = SidecarBackend(sidecar.socket, rank=0)
    return start(backend, TrainingState(arrays=arrays or {"w": np.zeros(4)}))


def eventually(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.005)


def checkpoint_answer(folder: Path, arrays: dict[str, Any]) -> dict[str, Any]:
    """What the sidecar answers when a checkpoint was verified, its file in place."""
    with serving(FakeSidecar(folder)) as earlier:
        run = begin(earlier, **arrays)
        run.step()
        run.save()
        (told,) = earlier.told("/v1/snapshots")
        payload = Arena(folder / "arena-p0-0").snapshot(told["generation"])
        receipt = a_receipt(payload, step=told["step"])
        (folder / "restored").write_bytes(payload)
    manifest = build_manifest([receipt], committed_at=AT)
    return {
        "decision": "checkpoint", "id": manifest.id, "attempt": 1, "step": 1,
        "files": [{"path": str(folder / "restored"), "process": 0, "role": "state"}],
        "manifest": records.to_json(manifest),
    }  # fmt: skip


def test_the_greeting_tells_attempt_and_interval(sidecar: FakeSidecar) -> None:
    run = begin(sidecar)
    assert run.attempt == 3
    assert run._backend.interval == 60.0
    (asked,) = sidecar.told("/v1/resume")
    assert asked == {"process": 0, "wait": 20, "container": asked["container"]}
    assert asked["container"] == container.identity() != ""


def test_the_interval_may_change_at_any_time(sidecar: FakeSidecar) -> None:
    run = begin(sidecar)
    sidecar.lines.put({"news": "of a later version"})
    sidecar.lines.put({"interval": 7.5, "saveSeconds": 0.25})
    eventually(lambda: run._backend.interval == 7.5)
    assert run._backend.cost == 0.25


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((200, {"save": True, "why": "there is time"}), True),
        ((200, {"save": False, "why": "there is not enough time: 9 s"}), False),
        ((200, {}), None),
        ((404, {"error": "an older sidecar"}), None),
    ],
)
def test_the_sidecar_says_whether_a_last_save_fits(
    sidecar: FakeSidecar,
    answer: tuple[int, dict[str, Any]],
    expected: bool | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = begin(sidecar)
    sidecar.replies["/v1/flush"] = [answer]
    assert run._backend.fits(12.5) is expected
    assert sidecar.told("/v1/flush") == [{"process": 0, "seconds": 12.5}]
    assert str(answer[1].get("why", "")) in capsys.readouterr().err


def test_nothing_starts_without_a_grant(
    sidecar: FakeSidecar, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = (202, {"state": "waiting", "why": "no grant yet"})
    sidecar.replies["/v1/resume"] = [waiting, waiting, (200, {"decision": "fresh"})]
    begin(sidecar)
    assert len(sidecar.told("/v1/resume")) == 3
    assert capsys.readouterr().err.count("waiting: no grant yet") == 1


def test_a_snapshot_is_handed_over_whole(sidecar: FakeSidecar) -> None:
    run = begin(sidecar, w=np.arange(4.0))
    run.step(samples=32)
    assert run.save()
    (body,) = sidecar.told("/v1/snapshots")
    payload = Arena(sidecar.folder / "arena-p0-0").snapshot(body["generation"])
    assert len(payload) == body["bytes"]
    assert (body["process"], body["arena"], body["step"], body["samples"], body["epoch"]) == (
        0, 0, 1, 32, 0,
    )  # fmt: skip
    assert body["reason"] == "manual"
    assert body["stallSeconds"] > 0
    assert body["takenAt"].endswith("Z")
    assert sidecar.told("/v1/arenas/acquire") == [{"process": 0, "reason": "manual", "wait": 0}]


def test_progress_is_in_shared_memory(sidecar: FakeSidecar) -> None:
    run = begin(sidecar)
    run.step(samples=5)
    found = read_progress(sidecar.folder / "progress-p0")
    assert found is not None
    assert (found.step, found.samples) == (1, 5)


def test_a_checkpoint_is_loaded_and_confirmed(sidecar: FakeSidecar, tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    answer = checkpoint_answer(tmp_path / "before", {"w": np.full(4, 7.0)})
    sidecar.replies["/v1/resume"] = [(200, answer)]
    w = np.zeros(4)
    run = begin(sidecar, w=w)
    np.testing.assert_array_equal(w, 7)
    assert run.current_step == 1
    (resumed,) = sidecar.told("/v1/resumed")
    assert (resumed["step"], resumed["verified"], resumed["differs"]) == (1, True, [])


def test_a_file_that_is_not_the_manifests_is_not_trained_on(
    sidecar: FakeSidecar, tmp_path: Path
) -> None:
    (tmp_path / "before").mkdir()
    answer = checkpoint_answer(tmp_path / "before", {"w": np.full(4, 7.0)})
    path = Path(answer["files"][0]["path"])
    path.write_bytes(path.read_bytes().replace(np.full(4, 7.0).tobytes(), np.ones(4).tobytes()))
    sidecar.replies["/v1/resume"] = [(200, answer)]
    with pytest.raises(spot.StateDiffers, match="arrays/w"):
        begin(sidecar)
    (resumed,) = sidecar.told("/v1/resumed")
    assert (resumed["verified"], resumed["differs"]) == (False, ["arrays/w"])


@pytest.mark.parametrize(("answer", "error", "code"), [
    ({"decision": "completed"}, spot.AlreadyCompleted, 0),
    ({"decision": "stop", "word": "Superseded", "reason": "attempt 4 began"}, spot.Stopped, 94),
    ({"decision": "dance"}, spot.Stopped, 94),
])  # fmt: skip
def test_decisions_not_to_train_end_the_process(
    sidecar: FakeSidecar, answer: dict[str, Any], error: type[SystemExit], code: int
) -> None:
    sidecar.replies["/v1/resume"] = [(200, answer)]
    with pytest.raises(error) as leaving:
        begin(sidecar)
    assert leaving.value.code == code


@pytest.mark.parametrize("path", ["/v1/arenas", "/v1/arenas/acquire", "/v1/snapshots"])
def test_a_save_that_is_refused_does_not_stop_the_training(
    sidecar: FakeSidecar, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sidecar.replies[path] = [(507, {"error": "raise staging.sizeLimit", "needBytes": 2})]
    run = begin(sidecar)
    run._early = 0.0
    run.step()
    run.step()
    assert run.current_step == 2
    assert "raise staging.sizeLimit" in capsys.readouterr().err


def test_a_busy_arena_is_waited_for_by_a_notice_only(sidecar: FakeSidecar) -> None:
    busy = (409, {"error": "busy"})
    sidecar.replies["/v1/arenas/acquire"] = [busy, busy, (200, {"index": 1})]
    run = begin(sidecar)
    run._early = 0.0
    run.step()
    assert sidecar.told("/v1/snapshots") == []
    (sidecar.folder / "notice.json").write_text(
        '{"kind":"Preempt","deadline":null,"source":"imds","observedAt":"2026-01-02T03:04:05Z"}'
    )
    with pytest.raises(spot.Paused):
        run.step()
    assert [body["reason"] for body in sidecar.told("/v1/arenas/acquire")] == [
        "periodic", "notice", "notice",
    ]  # fmt: skip
    (body,) = sidecar.told("/v1/snapshots")
    assert body["arena"] == 1
    (word,) = sidecar.told("/v1/word")
    assert (word["word"], word["reason"]) == ("Paused", "Preempt from imds: step 2 is committed")


def test_larger_state_gets_larger_arenas(sidecar: FakeSidecar) -> None:
    extras: dict[str, Any] = {}
    backend = SidecarBackend(sidecar.socket, rank=0)
    run = start(backend, TrainingState(extras=extras))
    run.step()
    assert run.save()
    extras["history"] = "x" * 100_000
    run.step()
    run._ticket.wait(10)  # type: ignore[union-attr]  # saved above
    assert run.save()
    sizes = [body["bytes"] for body in sidecar.told("/v1/arenas")]
    assert len(sizes) == 2
    assert sizes[1] > 100_000 > sizes[0]


def test_completion_is_polled_until_it_stands(sidecar: FakeSidecar) -> None:
    sidecar.replies["/v1/complete"] = [(202, {}), (200, {"completed": True, "acknowledged": False})]
    run = begin(sidecar)
    run.step()
    run.complete()
    assert sidecar.told("/v1/complete") == [{"process": 0, "snapshot": "s1", "wait": 20}] * 2
    assert sidecar.told("/v1/word") == []


@pytest.mark.parametrize("path", ["/v1/complete", "/v1/snapshots/s1"])
def test_a_sidecar_that_forgot_the_final_snapshot_gets_it_again(
    sidecar: FakeSidecar, path: str
) -> None:
    sidecar.replies[path].insert(0, (404, {"error": "no such snapshot: submit it again"}))
    run = begin(sidecar)
    run.step()
    run.complete()
    assert len(sidecar.told("/v1/snapshots")) == 2
    assert sidecar.told("/v1/complete")[-1]["snapshot"] == "s1"


def test_the_wait_for_an_arena_ends_with_the_time_left(sidecar: FakeSidecar) -> None:
    sidecar.replies["/v1/arenas/acquire"] = [(409, {"error": "busy"})]
    run = begin(sidecar)
    soon = rfc3339(utc_now() + timedelta(seconds=0.5))
    (sidecar.folder / "notice.json").write_text(
        f'{{"kind":"Preempt","deadline":"{soon}","source":"imds","observedAt":"{soon}"}}'
    )
    began = time.monotonic()
    with pytest.raises(spot.Paused, match="not enough time"):
        run.step()
    assert time.monotonic() - began < 5
    assert all(body["wait"] < 0.5 for body in sidecar.told("/v1/arenas/acquire"))


def test_a_snapshot_is_followed_until_it_is_settled(sidecar: FakeSidecar) -> None:
    sidecar.replies["/v1/snapshots/s1"] = [
        (200, {"state": "queued"}), (200, {"state": "uploading"}),
        (200, {"state": "failed", "why": "no space"}),
    ]  # fmt: skip
    run = begin(sidecar)
    run.step()
    with pytest.raises(RuntimeError, match="no space"):
        run.complete()


def test_busy_is_told(sidecar: FakeSidecar) -> None:
    run = begin(sidecar)
    with run.busy("eval"):
        pass
    assert [body["what"] for body in sidecar.told("/v1/busy")] == ["eval", None]


def test_refuse_reaches_the_sidecar(sidecar: FakeSidecar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOT_SOCKET", str(sidecar.socket))
    with pytest.raises(spot.Refused):
        spot.refuse("wrong data")
    assert sidecar.told("/v1/word") == [{"process": 0, "word": "Refused", "reason": "wrong data"}]


def test_the_same_script_takes_the_sidecar_where_there_is_one(
    sidecar: FakeSidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPOT_SOCKET", str(sidecar.socket))
    run = spot.resume(arrays={"w": np.zeros(2)})
    run.step()
    run.complete()
    assert len(sidecar.told("/v1/complete")) == 1


def test_a_restarted_sidecar_is_joined_again(tmp_path: Path) -> None:
    sidecar = FakeSidecar(tmp_path)
    with serving(sidecar):
        run = begin(sidecar)
        assert sidecar.sessions == 1
    run.step()
    with serving(sidecar):
        assert run.save(), "the request was repeated until the sidecar was back"
        eventually(lambda: sidecar.sessions == 2)


def test_the_session_is_open_for_as_long_as_the_run(sidecar: FakeSidecar) -> None:
    run = begin(sidecar)
    assert (sidecar.sessions, sidecar.closed) == (1, 0)
    run.step()
    run.complete()
    eventually(lambda: sidecar.closed == 1)
