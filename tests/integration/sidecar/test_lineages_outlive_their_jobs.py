"""After a job: another one goes on from its lineage, or a purge deletes it.

Real processes, on a real S3 server and in a volume.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kit.checkpoints import AT
from kit.sidecar import BUCKET, JOB, VOLUME_PATH, PodFolder, a_pod
from kit.stores import S3Server
from kit.trainer_process import a_trainer
from spot_training.checkpoint import keys, records, verify
from spot_training.checkpoint.manifest import Manifest, Pin
from spot_training.checkpoint.store import Store
from spot_training.checkpoint.stores.directory import DirectoryStore
from spot_training.checkpoint.stores.s3 import S3Store
from spot_training.checkpoint.stores.s3_client import connect

Json = dict[str, Any]

STEPS = 40
FIRST = {**JOB, "uid": "uid-of-the-first"}
SECOND = {**JOB, "uid": "uid-of-the-second"}
LINEAGE = "/".join(FIRST.values())
NEVER_FINISHED = keys.data(keys.checkpoint_id(1, 999_999, "0123abcd"), 0, 0)


@dataclass(frozen=True)
class Place:
    """A store for jobs, and their lineages in it as a person finds them."""

    where: Json
    """For `a_pod`."""
    lineage: Callable[[Json], Store]
    folder: Callable[[Json], Path]
    """Where the objects of a job's lineage lie on the disk."""
    begin_upload: Callable[[Json], None]
    """Leaves the beginning of an upload in a job's lineage, as a killed pod would."""

    def content(self, job: Json) -> dict[str, bytes]:
        """Every byte of a lineage."""
        root = self.folder(job)
        files = (path for path in root.rglob("*") if path.is_file() and ".tmp" not in path.parts)
        return {str(path.relative_to(root)): path.read_bytes() for path in files}


@pytest.fixture(params=["bucket", "volume"])
def place(request: pytest.FixtureRequest, tmp_path: Path, s3: S3Server) -> Place:
    if request.param == "bucket":

        def prefix(job: Json) -> str:
            return keys.lineage_prefix("", *job.values())

        def begin_upload(job: Json) -> None:
            client = connect(s3.settings(BUCKET))
            where = {"Bucket": BUCKET, "Key": prefix(job) + NEVER_FINISHED}
            upload = client.create_multipart_upload(**where)["UploadId"]
            client.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"a part")

        return Place(
            {"s3": s3},
            lambda job: S3Store(s3.settings(BUCKET, prefix(job))),
            lambda job: s3.data / BUCKET / prefix(job),
            begin_upload,
        )
    volume = tmp_path / "volume"
    volume.mkdir()

    def folder(job: Json) -> Path:
        return volume / keys.lineage_prefix(VOLUME_PATH, *job.values())

    def begin_draft(job: Json) -> None:
        draft = NEVER_FINISHED.replace("/", "~") + ".killed"
        (folder(job) / ".tmp" / draft).write_bytes(b"a part")

    return Place({"volume": volume}, lambda job: DirectoryStore(folder(job)), folder, begin_draft)


@contextlib.contextmanager
def a_pod_of(folder: Path, place: Place, job: Json, **config: Any) -> Iterator[PodFolder]:
    """A granted pod of a job's first attempt."""
    with a_pod(folder, job=job, interval=0.1, **place.where, **config) as pod:
        pod.grant()
        yield pod


def leave_unfinished(folder: Path, place: Place, at_least: int = 15) -> list[Manifest]:
    """The first job trains, and is deleted in the middle of it; its checkpoints, newest first."""
    with a_pod_of(folder, place, FIRST) as pod, pod.sidecar() as sidecar:
        with a_trainer(pod, steps=10_000, pause=0.02, size=50_000) as trainer:
            trainer.reached(at_least)
            trainer.kill()
        assert sidecar.terminate() == 0
    return committed(place.lineage(FIRST))


def committed(store: Store) -> list[Manifest]:
    found = (keys.parse_commit(key) for key in store.list(keys.COMMITS))
    return [verify.read_manifest(store, str(one)) for one in found if one]


def go_on(folder: Path, place: Place, **config: Any) -> tuple[PodFolder, list[int], float]:
    """The second job to its end: its pod, its steps, its result."""
    with a_pod_of(folder, place, SECOND, **config) as pod, pod.sidecar() as sidecar:
        with a_trainer(pod, steps=STEPS, pause=0.01, size=50_000) as trainer:
            assert trainer.ended() == 0
            steps, result = trainer.steps(), trainer.final()
        assert sidecar.terminate() == 0
        return pod, steps, result


def resume_from(**more: str) -> Json:
    return {"version": 2, "resumeFrom": {**FIRST, **more}}


def reported(pod: PodFolder) -> Json:
    assert pod.operator is not None
    found = pod.operator.find(lambda report: report["resume"])
    assert found is not None
    return found


def undisturbed(folder: Path, place: Place) -> float:
    with (
        a_pod_of(folder, place, {**JOB, "uid": "undisturbed"}) as pod,
        pod.sidecar(),
        a_trainer(pod, steps=STEPS, pause=0.0, size=50_000) as trainer,
    ):
        assert trainer.ended() == 0
        return trainer.final()


# --- resumeFrom ----------------------------------------------------------------------------------


def test_a_new_job_ends_as_if_the_first_had_never_been_deleted(folder: Path, place: Place) -> None:
    newest = leave_unfinished(folder / "1", place)[0]
    before = place.content(FIRST)
    pod, steps, result = go_on(folder / "2", place, **resume_from())
    assert steps == list(range(newest.step + 1, STEPS + 1))
    assert result == undisturbed(folder / "3", place)
    assert place.content(FIRST) == before
    report = reported(pod)
    assert report["resume"]["from"] == {
        "attempt": 1, "step": newest.step, "id": newest.id, "lineage": LINEAGE,
    }  # fmt: skip
    assert report["replayedSteps"] == 0
    own = committed(place.lineage(SECOND))
    assert {(one.parent, one.parent_lineage) for one in own} == {(newest.id, LINEAGE)}
    assert place.lineage(SECOND).list(keys.MARKERS) == (keys.marker(1),)


def test_a_damaged_newest_one_falls_back_to_the_one_before(folder: Path, place: Place) -> None:
    newest, second, *_ = leave_unfinished(folder / "1", place)
    path = place.folder(FIRST) / newest.objects[0].key
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)
    before = place.content(FIRST)
    pod, steps, result = go_on(folder / "2", place, **resume_from())
    assert steps[0] == second.step + 1
    assert result == undisturbed(folder / "3", place)
    assert place.content(FIRST) == before
    quarantined = reported(pod)["quarantined"]
    assert [one["id"] for one in quarantined] == [newest.id]
    assert LINEAGE in quarantined[0]["why"]
    assert f"{keys.INHERITED}{keys.tombstone(newest.id)}" in place.content(SECOND)


def test_one_checkpoint_may_be_named(folder: Path, place: Place) -> None:
    *_, oldest = leave_unfinished(folder / "1", place)
    _, steps, _ = go_on(folder / "2", place, **resume_from(checkpoint=oldest.id))
    assert steps[0] == oldest.step + 1


def test_a_lineage_that_is_not_there_stops_the_job(folder: Path, place: Place) -> None:
    nowhere = {"version": 2, "resumeFrom": {**FIRST, "uid": "mistyped"}}
    with a_pod_of(folder, place, SECOND, **nowhere) as pod, pod.sidecar() as sidecar:
        with a_trainer(pod, steps=STEPS) as trainer:
            assert trainer.ended() != 0
            assert trainer.steps() == []
        sidecar.terminate()
        word = pod.last_word()
    assert word["word"] == "NoValidCheckpoint"
    assert "team/digits/mistyped" in word["reason"]
    assert committed(place.lineage(SECOND)) == []
    assert not place.folder({**FIRST, "uid": "mistyped"}).exists()


def test_a_job_created_again_says_what_it_leaves_behind(folder: Path, place: Place) -> None:
    newest = leave_unfinished(folder / "1", place)[0]
    pod, steps, _ = go_on(folder / "2", place)
    assert steps[0] == 1
    assert pod.operator is not None
    told = pod.operator.find(lambda report: report["events"])
    assert told is not None
    (event,) = [one for one in told["events"] if one["reason"] == "UnfinishedLineage"]
    assert f"uid {FIRST['uid']}, newest step {newest.step}" in event["message"]
    assert f'resumeFrom: {{name: "digits", uid: "{FIRST["uid"]}"}}' in event["message"]


# --- deletionPolicy ------------------------------------------------------------------------------


def purged(folder: Path, place: Place, job: Json) -> tuple[int, Json]:
    """What the pod that the operator creates runs: exit code and termination message."""
    with a_pod(folder, **place.where) as pod:
        config = {"version": 1, "job": job, "store": pod.config["store"]}
        log = pod.folder / "termination-log"
        log.touch()
        ended = subprocess.run(
            [sys.executable, "-m", "spot_sidecar.purge"],
            env={
                "AWS_EC2_METADATA_DISABLED": "true",
                "SPOT_CONFIG": json.dumps(config),
                "SPOT_TERMINATION_LOG": str(log),
            },
            capture_output=True,
            timeout=60,
            check=False,
        )
        return ended.returncode, json.loads(log.read_text())


def test_a_purge_deletes_all_of_a_lineage_and_nothing_else(folder: Path, place: Place) -> None:
    leave_unfinished(folder / "1", place)
    go_on(folder / "2", place, **resume_from())
    place.begin_upload(FIRST)
    others = place.content(SECOND)
    count = len(place.content(FIRST))
    code, word = purged(folder / "3", place, FIRST)
    assert (code, word["kept"]) == (0, [])
    assert word["deleted"] > count > 5
    assert place.content(FIRST) == {}
    assert place.content(SECOND) == others
    if isinstance(place.lineage(FIRST), DirectoryStore):
        assert not place.folder(FIRST).exists()
        assert purged(folder / "5", place, SECOND)[0] == 0
        assert not place.folder(SECOND).parent.exists()
    code, word = purged(folder / "4", place, FIRST)
    assert (code, word["deleted"], word["kept"]) == (0, 0, [])


def test_a_pinned_checkpoint_outlives_the_purge_and_can_be_resumed_from(
    folder: Path, place: Place
) -> None:
    newest = leave_unfinished(folder / "1", place)[0]
    pin = Pin(id=newest.id, by="ada", why="the paper", at=AT)
    place.lineage(FIRST).create(keys.pin(newest.id), records.dump(pin))
    code, word = purged(folder / "2", place, FIRST)
    assert (code, word["kept"]) == (0, [newest.id])
    assert [one.id for one in committed(place.lineage(FIRST))] == [newest.id]
    _, steps, result = go_on(folder / "3", place, **resume_from())
    assert steps[0] == newest.step + 1
    assert result == undisturbed(folder / "4", place)


def test_a_store_that_refuses_is_named_and_the_purge_may_come_again(
    folder: Path, s3: S3Server
) -> None:
    gone = S3Store(s3.settings("gone"))
    place = Place({"s3": s3}, lambda _: gone, lambda _: s3.data, begin_upload=lambda _: None)
    (s3.data / BUCKET).rename(s3.data / "elsewhere")
    try:
        code, word = purged(folder, place, FIRST)
    finally:
        (s3.data / "elsewhere").rename(s3.data / BUCKET)
    assert code == 1
    assert "Misconfigured" in word["problem"]
    assert purged(folder, place, FIRST)[0] == 0
