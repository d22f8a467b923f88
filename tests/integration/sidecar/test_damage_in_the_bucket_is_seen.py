"""Objects damaged behind a real S3 server's back, and a bucket that was emptied."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit.raw_trainer import begin, save, state
from kit.sidecar import BUCKET, LINEAGE, a_pod, lineage_store
from kit.stores import S3Server
from spot_training.checkpoint import keys, records, verify
from spot_training.checkpoint.manifest import Manifest

Json = dict[str, Any]


def object_path(s3: S3Server, manifest: Manifest) -> Path:
    return s3.object_path(BUCKET, manifest.objects[0].key, LINEAGE)


def flip_a_bit(s3: S3Server, manifest: Manifest) -> None:
    path = object_path(s3, manifest)
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    with path.open("r+b") as file:  # the same file: its stored checksum stays as it was
        file.write(body)


def truncate(s3: S3Server, manifest: Manifest) -> None:
    with object_path(s3, manifest).open("r+b") as file:
        file.truncate(100)


def delete(s3: S3Server, manifest: Manifest) -> None:
    lineage_store(s3).delete(manifest.objects[0].key)


def three_checkpoints(folder: Path, s3: S3Server) -> list[Manifest]:
    with a_pod(folder, s3=s3) as pod, pod.sidecar() as sidecar:
        pod.grant()
        begin(sidecar)
        for step in (10, 20, 30):
            assert state(sidecar, save(sidecar, step, reason="manual"), wait=20) == "committed"
    store = lineage_store(s3)
    found = [str(keys.parse_commit(key)) for key in store.list(keys.COMMITS)]
    return [verify.read_manifest(store, id_) for id_ in found]


def origin(manifest: Manifest) -> Json:
    return {"attempt": manifest.attempt, "step": manifest.step, "id": manifest.id}


@pytest.mark.parametrize("damage", [flip_a_bit, truncate, delete])
def test_the_one_before_is_taken_and_the_damage_reported(
    folder: Path, s3: S3Server, damage: Callable[[S3Server, Manifest], None]
) -> None:
    newest, before, _ = three_checkpoints(folder / "1", s3)
    damage(s3, newest)
    with a_pod(folder / "2", s3=s3, attempt=2, highWaterStep=30) as pod:
        pod.grant(newest=origin(newest))
        with pod.sidecar() as sidecar:
            decision = begin(sidecar)
            assert (decision["decision"], decision["id"]) == ("checkpoint", before.id)
            (file,) = decision["files"]
            assert len(Path(file["path"]).read_bytes()) == before.objects[0].size
            assert records.from_json(Manifest, decision["manifest"]) == before
            body = {"process": 0, "step": 20, "verified": True, "differs": [], "seconds": 0.1}
            sidecar.ask("POST", "/v1/resumed", body)
            assert not Path(file["path"]).exists()
            assert sidecar.terminate() == 0
        report = pod.operator.reports[-1] if pod.operator else {}
    assert [item["id"] for item in report["quarantined"]] == [newest.id]
    assert report["resume"]["from"] == origin(before)
    assert report["replayedSteps"] == 10
    assert lineage_store(s3).list(keys.TOMBSTONES) == (keys.tombstone(newest.id),)


def test_an_emptied_bucket_stops_the_job_instead_of_starting_it_again(
    folder: Path, s3: S3Server
) -> None:
    newest, *_ = three_checkpoints(folder / "1", s3)
    shutil.rmtree(s3.data / BUCKET / "team")
    with a_pod(folder / "2", s3=s3, attempt=2) as pod:
        pod.grant(newest=origin(newest))
        with pod.sidecar() as sidecar:
            decision = begin(sidecar)
            assert (decision["decision"], decision["word"]) == ("stop", "NoValidCheckpoint")
            assert sidecar.terminate() == 0
        assert pod.last_word()["word"] == "NoValidCheckpoint"
        report = pod.operator.reports[-1] if pod.operator else {}
    assert report["problem"]["kind"] == "NoValidCheckpoint"
    assert report["resume"]["decision"] == "stop"
    assert lineage_store(s3).list("") == ()


def test_starting_fresh_must_be_asked_for(folder: Path, s3: S3Server) -> None:
    newest, *_ = three_checkpoints(folder / "1", s3)
    shutil.rmtree(s3.data / BUCKET / "team")
    with a_pod(folder / "2", s3=s3, attempt=2, onNoneValid="StartFresh") as pod:
        pod.grant(newest=origin(newest))
        with pod.sidecar() as sidecar:
            assert begin(sidecar) == {"decision": "fresh"}
