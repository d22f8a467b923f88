"""The socket's API for snapshots, used without the SDK's run, on a real S3 server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kit.raw_trainer import acquire, begin, expect_state, fill, provide, save, state, submit
from kit.sidecar import PodFolder, SidecarProcess, a_pod, eventually, frozen, lineage_store
from kit.stores import S3Server
from kit.trainer_process import a_trainer
from spot_training.backends.session import Session
from spot_training.backends.socket_http import SidecarError
from spot_training.checkpoint import keys, records, verify
from spot_training.checkpoint.arena import Arena
from spot_training.checkpoint.manifest import Manifest, Verified

MIB = 2**20


@pytest.fixture
def pod(folder: Path, s3: S3Server) -> Iterator[PodFolder]:
    with a_pod(folder, s3=s3) as pod:
        pod.grant()
        yield pod


@contextlib.contextmanager
def begun(pod: PodFolder) -> Iterator[SidecarProcess]:
    with pod.sidecar() as sidecar:
        assert begin(sidecar) == {"decision": "fresh"}
        yield sidecar


def newest(s3: S3Server) -> Manifest:
    (first, *_) = lineage_store(s3).list(keys.COMMITS)
    return verify.read_manifest(lineage_store(s3), str(keys.parse_commit(first)))


def test_a_snapshot_becomes_a_checkpoint_that_verifies(pod: PodFolder, s3: S3Server) -> None:
    with begun(pod) as sidecar:
        snapshot = save(sidecar, 7, reason="manual")
        assert state(sidecar, snapshot, wait=20) == "committed"
        metrics = sidecar.get("/metrics")[1]
        assert sidecar.terminate() == 0
    manifest = newest(s3)
    assert (manifest.attempt, manifest.step, manifest.samples) == (1, 7, 7)
    assert manifest.reason == "manual"
    assert manifest.job_uid == "uid-of-digits"
    assert "arrays/w" in manifest.objects[0].tensors
    store = lineage_store(s3)
    verified = records.load(Verified, store.read(keys.verified(manifest.id)))
    assert verified.level == "V2"
    assert 'spot_checkpoints_committed_total{reason="manual"} 1.0' in metrics
    assert pod.last_word()["commit"] == {"attempt": 1, "step": 7, "id": manifest.id}


def test_several_parts_and_both_arenas(pod: PodFolder, s3: S3Server) -> None:
    with begun(pod) as sidecar:
        for step in (1, 2):
            snapshot = save(sidecar, step, size=2_200_000, reason="manual")
        assert state(sidecar, snapshot, wait=30) == "committed"
    manifest = newest(s3)
    assert manifest.step == 2
    assert len(manifest.objects[0].parts) == 2


def test_a_killed_sidecar_uploads_what_it_was_handed(pod: PodFolder, s3: S3Server) -> None:
    with begun(pod) as sidecar:
        provide(sidecar)
        facts = fill(sidecar, acquire(sidecar), 5)
        with frozen(s3):
            snapshot = submit(sidecar, facts)
            expect_state(sidecar, snapshot, "uploading")
            sidecar.kill()
    with pod.sidecar() as again:
        assert state(again, snapshot, wait=20) == "committed"
        assert newest(s3).step == 5
        again.kill()
    with pod.sidecar() as third:
        assert state(third, snapshot) == "committed"


def test_a_periodic_snapshot_is_skipped_while_both_arenas_are_in_use(
    pod: PodFolder, s3: S3Server
) -> None:
    with begun(pod) as sidecar:
        provide(sidecar)
        with frozen(s3):
            running = save(sidecar, 1)
            waiting = save(sidecar, 2)
            with pytest.raises(SidecarError) as refused:
                acquire(sidecar)
            assert refused.value.status == 409
            flush = save(sidecar, 3, reason="notice")
            assert state(sidecar, waiting) == "superseded"
        assert state(sidecar, running, wait=20) == "committed"
        assert state(sidecar, flush, wait=20) == "committed"
        assert sidecar.terminate() == 0
    report = pod.operator.reports[-1] if pod.operator else {}
    assert report["skippedSnapshots"] == 1
    assert report["commits"] == 2
    assert newest(s3).step == 3


def test_a_second_save_of_one_step_joins_the_first(pod: PodFolder, s3: S3Server) -> None:
    with begun(pod) as sidecar:
        with frozen(s3):
            first = save(sidecar, 4)
            assert save(sidecar, 4, reason="notice") == first
        assert state(sidecar, first, wait=20) == "committed"
        assert save(sidecar, 4, reason="final") == first
        assert sidecar.terminate() == 0
    assert len(lineage_store(s3).list(keys.COMMITS)) == 1


def test_an_answer_that_got_lost_costs_no_arena(pod: PodFolder) -> None:
    with begun(pod) as sidecar:
        provide(sidecar)
        assert acquire(sidecar) == acquire(sidecar)
        facts = fill(sidecar, 0, 1)
        assert submit(sidecar, facts) == submit(sidecar, facts)


def test_a_torn_snapshot_is_never_uploaded(pod: PodFolder, s3: S3Server) -> None:
    with begun(pod) as sidecar:
        slots = provide(sidecar)
        index = acquire(sidecar)
        facts = fill(sidecar, index, 5)
        arena = Arena(Path(slots[index]["path"]))
        arena.begin(step=6, payload_bytes=10).release()
        arena.close()
        snapshot = submit(sidecar, facts)
        assert state(sidecar, snapshot, wait=20) == "failed"
        assert acquire(sidecar) == index
    assert lineage_store(s3).list(keys.DATA) == ()


def test_what_is_no_safetensors_file_is_never_committed(pod: PodFolder, s3: S3Server) -> None:
    with begun(pod) as sidecar:
        slots = provide(sidecar)
        index = acquire(sidecar)
        arena = Arena(Path(slots[index]["path"]))
        payload = arena.begin(step=6, payload_bytes=100)
        payload[:] = b"x" * 100
        payload.release()
        control = arena.finish()
        arena.close()
        facts = fill_facts(index, control.generation)
        snapshot = submit(sidecar, facts)
        assert state(sidecar, snapshot, wait=20) == "failed"
    assert lineage_store(s3).list(keys.COMMITS) == ()


def fill_facts(index: int, generation: int) -> dict[str, object]:
    return {
        "process": 0,
        "arena": index,
        "generation": generation,
        "bytes": 100,
        "step": 6,
        "takenAt": "2026-01-01T00:00:00Z",
    }


def test_memory_that_is_too_small_is_an_answer_with_both_numbers(
    folder: Path, s3: S3Server
) -> None:
    with a_pod(folder, s3=s3, stagingBytes=MIB) as pod:
        pod.grant()
        with begun(pod) as sidecar:
            assert len(provide(sidecar, 10_000)) == 2
            assert len(provide(sidecar, 100_000)) == 1
            with pytest.raises(SidecarError) as refused:
                provide(sidecar, MIB)
            assert refused.value.status == 507
            assert refused.value.body["haveBytes"] == MIB
            assert refused.value.body["needBytes"] > 8 * MIB
            assert "sizeLimit" in refused.value.body["error"]
            snapshot = save(sidecar, 1, size=10_000)
            assert state(sidecar, snapshot, wait=20) == "committed"


def test_larger_arenas_wait_for_the_upload_in_the_smaller_ones(
    pod: PodFolder, s3: S3Server
) -> None:
    with begun(pod) as sidecar:
        with ThreadPoolExecutor(1) as background:
            with frozen(s3):
                first = save(sidecar, 1)
                asked = background.submit(provide, sidecar, MIB)
                expect_state(sidecar, first, "uploading")
                assert not asked.done()
            assert len(asked.result(30)) == 2
        assert state(sidecar, first, wait=20) == "committed"
        second = save(sidecar, 2, size=MIB)
        assert state(sidecar, second, wait=20) == "committed"


def test_a_process_that_dies_gives_back_what_it_was_lent(pod: PodFolder) -> None:
    with begun(pod) as sidecar:
        provide(sidecar)
        with a_trainer(pod, steps=10, pause=60) as trainer:
            eventually("registered", lambda: registered(pod))
            assert acquire(sidecar) == 0
            trainer.kill()
        eventually("gone", lambda: not registered(pod))
        snapshot = save(sidecar, 1)
        assert state(sidecar, snapshot, wait=20) == "committed"


def test_what_is_shared_is_for_the_group_alone(pod: PodFolder) -> None:
    with begun(pod) as sidecar:
        provide(sidecar)
        session = Session(pod.socket, 0)
        session.greeting()
        for name in ("sidecar.sock", "arena-p0-0", "arena-p0-1", "progress-p0"):
            assert oct((pod.shared / name).stat().st_mode)[-3:] == "660"


def registered(pod: PodFolder) -> bool:
    assert pod.operator is not None
    return bool(pod.operator.reports and pod.operator.reports[-1]["trainer"]["registered"])


REFUSALS: list[tuple[str, str, dict[str, Any] | None, int, str]] = [
    ("POST", "/v1/arenas", {"process": 0}, 400, "bytes"),
    ("POST", "/v1/arenas", {"process": -1, "bytes": 1}, 400, "process"),
    ("POST", "/v1/arenas/acquire", {"process": 0, "reason": "whim"}, 400, "reason"),
    ("POST", "/v1/snapshots", {"process": 0}, 400, "generation"),
    ("POST", "/v1/word", {"process": 0, "word": "Hello"}, 400, "word"),
    ("POST", "/v1/complete", {"process": 0, "snapshot": "none"}, 404, "submit it again"),
    ("GET", "/v1/snapshots/none?wait=1", None, 404, "submit it again"),
    ("GET", "/v1/nothing", None, 404, "/v1/nothing"),
    ("POST", "/v1/snapshots/x", {}, 405, "POST"),
]


def test_refusals_say_what_to_change(pod: PodFolder) -> None:
    with pod.sidecar() as sidecar:
        for method, target, body, status, named in REFUSALS:
            with pytest.raises(SidecarError) as refused:
                sidecar.ask(method, target, body)
            assert refused.value.status == status
            assert named in str(refused.value)
