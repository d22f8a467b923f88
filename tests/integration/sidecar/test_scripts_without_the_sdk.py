"""`checkpoint.source: directory`: a real sidecar, a real S3 server, files as scripts write them."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from kit.checkpoints import commit_checkpoint
from kit.filesets import Files, distributed, hugging_face, lightning_file, within, write
from kit.sidecar import (
    LINEAGE,
    PodFolder,
    SidecarProcess,
    a_pod,
    eventually,
    frozen,
    lineage_store,
    start_sidecar,
)
from kit.stores import S3Server
from spot_training.checkpoint import keys, verify
from spot_training.checkpoint.manifest import Manifest

Json = dict[str, Any]
SCRIPT_SEES = "/out"
LARGE = 20 * 2**20


def directory(layout: str = "HuggingFace", **settings: Any) -> Json:
    """SPOT_CONFIG's directory as the operator renders it."""
    return {
        "path": SCRIPT_SEES,
        "format": layout,
        "settleSeconds": 0.2,
        "marker": "",
        "processes": 1,
        "resumeArgs": True,
        **settings,
    }


def manifests(s3: S3Server) -> list[Manifest]:
    """Every checkpoint in the store, newest first."""
    store = lineage_store(s3)
    ids = (keys.parse_commit(key) for key in store.list(keys.COMMITS))
    return [verify.read_manifest(store, str(one)) for one in ids if one]


def committed(s3: S3Server, step: int) -> Manifest:
    """The newest checkpoint, once it is of this step."""
    return eventually(
        f"step {step} is committed",
        lambda: next((one for one in manifests(s3)[:1] if one.step == step), None),
    )


def newest(s3: S3Server) -> Json:
    """What the operator's grant says of the newest checkpoint."""
    one = manifests(s3)[0]
    return {"attempt": one.attempt, "step": one.step, "id": one.id}


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file with its bytes and mode."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mode & 0o777)
        for path in folder.rglob("*")
        if path.is_file()
    }


def saved(folder: Path, s3: S3Server, files: Files, step: int, layout: Json, **pod: Any) -> None:
    """A first attempt whose script writes these files, and ends."""
    with a_pod(folder, s3=s3, directory=layout, **pod) as first:
        first.grant()
        with first.sidecar() as sidecar:
            write(first.script_files, files, mode=0o600)
            committed(s3, step)
            assert sidecar.terminate() == 0


@pytest.mark.parametrize(
    ("layout", "files", "step", "link"),
    [
        (directory(), within("run/checkpoint-20", hugging_face(20)), 20, "resume"),
        (
            directory("Lightning"),
            {"logs/version_0/epoch=0-step=30.ckpt": lightning_file(30)},
            30,
            "resume.ckpt",
        ),
        (directory("DCP"), within("step-40", distributed()), 40, "resume"),
        (directory("Plain"), {"model_50/w.bin": b"w" * 1000, "model_50/none": b""}, 50, "resume"),
    ],
)
def test_the_next_attempt_finds_the_files_of_the_last_one(
    folder: Path, s3: S3Server, layout: Json, files: Files, step: int, link: str
) -> None:
    saved(folder / "1", s3, files, step, layout)
    with a_pod(folder / "2", s3=s3, attempt=2, directory=layout, highWaterStep=step + 5) as pod:
        pod.grant(newest=newest(s3))
        with pod.sidecar() as sidecar:
            # Healthy means that the script may start: everything must be in place by now.
            assert contents(pod.script_files) == {
                name: (body, 0o600) for name, body in files.items()
            }
            target = str((pod.shared / link).readlink())
            assert target.startswith(f"{SCRIPT_SEES}/")
            assert (pod.script_files / target.removeprefix(f"{SCRIPT_SEES}/")).exists()
            # It looks once more at its end: what was restored is not saved again.
            assert sidecar.terminate() == 0
        report = pod.operator.reports[-1] if pod.operator else {}
    assert report["resume"]["decision"] == "checkpoint"
    assert report["resume"]["from"]["step"] == step
    assert report["trainer"]["step"] == step
    assert report["replayedSteps"] == 5
    assert [one.attempt for one in manifests(s3)] == [1]


def test_what_the_script_has_left_is_saved_where_others_keep_its_pod_from_ending(
    folder: Path, s3: S3Server
) -> None:
    """No SIGTERM comes: a proxy in the pod has not ended. The operator says it instead."""
    with a_pod(folder, s3=s3, directory=directory()) as pod:
        pod.grant()
        with pod.sidecar() as sidecar:
            write(pod.script_files, within("checkpoint-10", hugging_face(10)))
            committed(s3, 10)
            write(pod.script_files, within("checkpoint-20", hugging_face(20)))
            assert pod.operator is not None
            assert not pod.operator.find(lambda report: report["settled"])
            pod.annotate(**{"trainer-ended": "2026-01-01T00:00:00Z"})
            operator = pod.operator
            report = eventually("the word", lambda: operator.find(lambda one: one["settled"]))
            assert report["commit"]["step"] == 20
            assert sidecar.process.poll() is None, "the kubelet would start it again"
            assert sidecar.terminate() == 0
    assert [one.step for one in manifests(s3)] == [20, 10]


def test_only_complete_sets_become_checkpoints(folder: Path, s3: S3Server) -> None:
    with a_pod(folder, s3=s3, interval=0.1, directory=directory()) as pod:
        pod.grant()
        with pod.sidecar() as sidecar:
            whole = within("checkpoint-10", hugging_face(10))
            write(pod.script_files, {k: v for k, v in whole.items() if "rng_state" not in k})
            write(pod.script_files, within("checkpoint-5", hugging_face(5)))
            committed(s3, 5)
            write(pod.script_files, whole)
            manifest = committed(s3, 10)
            assert sidecar.terminate() == 0
        report = pod.operator.reports[-1] if pod.operator else {}
    assert {item.file.path for item in manifest.objects if item.file} == set(whole)
    assert [one.step for one in manifests(s3)] == [10, 5]
    assert report["trainer"]["step"] == 10
    assert report["commits"] == 2
    assert list((pod.folder / "directory/spool").iterdir()) == []


def test_the_interval_holds_sets_back_and_a_notice_does_not(folder: Path, s3: S3Server) -> None:
    with a_pod(folder, s3=s3, interval=3600, directory=directory()) as pod:
        pod.grant()
        with pod.sidecar() as sidecar:
            write(pod.script_files, within("checkpoint-10", hugging_face(10)))
            committed(s3, 10)
            write(pod.script_files, within("checkpoint-20", hugging_face(20)))
            eventually(
                "step 20 is seen", lambda: "spot_trainer_step 20.0" in sidecar.get("/metrics")[1]
            )
            assert manifests(s3)[0].step == 10
            pod.annotate(
                notice={
                    "kind": "Preempt",
                    "deadline": None,
                    "source": "operator",
                    "observedAt": "2026-01-01T00:00:00Z",
                    "raw": "spot-itn",
                }
            )
            assert committed(s3, 20).reason == "notice"


def test_what_the_script_saved_last_is_brought_in_after_its_end(folder: Path, s3: S3Server) -> None:
    with a_pod(folder, s3=s3, interval=3600, directory=directory(settleSeconds=60)) as pod:
        pod.grant()
        with pod.sidecar() as sidecar:
            write(pod.script_files, within("checkpoint-20", hugging_face(20)))
            write(pod.script_files, within("checkpoint-30", {"config.json": b"{}"}))
            assert sidecar.terminate() == 0
    assert [one.step for one in manifests(s3)] == [20]


def test_a_plain_set_nobody_saw_settle_is_not_taken_at_the_end(folder: Path, s3: S3Server) -> None:
    with a_pod(folder, s3=s3, directory=directory("Plain", settleSeconds=60)) as pod:
        pod.grant()
        with pod.sidecar() as sidecar:
            write(pod.script_files, {"model_50.npz": b"cut short?"})
            assert sidecar.terminate() == 0
    assert manifests(s3) == []


def test_rotation_during_the_upload_loses_nothing(folder: Path, s3: S3Server) -> None:
    files = {"s-1/w": os.urandom(LARGE), "s-1/DONE": b""}
    with a_pod(folder, s3=s3, directory=directory("Plain", marker="DONE")) as pod:
        pod.grant()
        with pod.sidecar():
            write(pod.script_files, files)
            spool = pod.folder / "directory/spool"
            eventually("the set is held", lambda: len(list(spool.glob("*"))) == 2)
            shutil.rmtree(pod.script_files / "s-1")
            manifest = committed(s3, 1)
    assert sum(item.size for item in manifest.objects) == LARGE


def test_a_set_that_is_written_to_during_the_upload_is_never_committed_as_it_was(
    folder: Path, s3: S3Server
) -> None:
    with a_pod(folder, s3=s3, interval=0.1, directory=directory("Plain")) as pod:
        pod.grant()
        with pod.sidecar() as sidecar:
            write(pod.script_files, {"s-1/w": os.urandom(3 * LARGE)})
            path, spool = pod.script_files / "s-1/w", pod.folder / "directory/spool"
            eventually("the set is held", lambda: any(spool.glob("*")))
            with frozen(s3), path.open("r+b") as stream:
                stream.seek(LARGE)
                stream.write(b"written in place")
            dropped = 'spot_snapshots_ended_total{state="changed"} 1.0'
            eventually("the set is dropped", lambda: dropped in sidecar.get("/metrics")[1])
            (item,) = committed(s3, 1).objects
            into = memoryview(bytearray(item.size))
            lineage_store(s3).download(item.key, into, item.digests)
            assert bytes(into) == path.read_bytes()


@pytest.mark.parametrize("killed_after", [0.0, 0.2])
def test_killed_during_the_upload_the_sidecar_begins_it_anew(
    folder: Path, s3: S3Server, killed_after: float
) -> None:
    files = within("s-1", {f"part-{n}": os.urandom(LARGE // 4) for n in range(4)})
    with a_pod(folder, s3=s3, directory=directory("Plain")) as pod:
        pod.grant()
        with pod.sidecar() as first:
            write(pod.script_files, files)
            eventually("an upload begins", lambda: any((pod.folder / "directory/spool").glob("*")))
            time.sleep(killed_after)
            first.kill()
        with pod.sidecar():
            manifest = committed(s3, 1)
    assert {item.file.path for item in manifest.objects if item.file} == set(files)


@pytest.mark.parametrize("killed_after", [0.0, 0.2])
def test_killed_during_the_restore_the_sidecar_finishes_it(
    folder: Path, s3: S3Server, killed_after: float
) -> None:
    files = within("s-1", {f"part-{n}": os.urandom(LARGE // 4) for n in range(4)})
    saved(folder / "1", s3, files, 1, directory("Plain"))
    with a_pod(folder / "2", s3=s3, attempt=2, directory=directory("Plain")) as pod:
        pod.grant(newest=newest(s3))
        first = begun_restore(pod)
        time.sleep(killed_after)
        first.kill()
        with pod.sidecar():
            assert {name: body for name, (body, _) in contents(pod.script_files).items()} == files
            eventually("the step is shown", lambda: resumed_from(pod) == 1 or None)


def resumed_from(pod: PodFolder) -> int | None:
    """The step that the newest report says it resumed from."""
    reports = pod.operator.reports if pod.operator else ()
    resume = (reports[-1]["resume"] if reports else None) or {}
    return (resume.get("from") or {}).get("step")


def begun_restore(pod: PodFolder) -> SidecarProcess:
    """A sidecar in the moment in which the first byte arrives."""
    process = start_sidecar(pod, {})
    arriving, files = pod.folder / "directory/arriving", pod.script_files
    eventually(
        "something arrives",
        lambda: any(one.is_dir() and any(one.rglob("part-*")) for one in (arriving, files)),
    )
    return process


def refused_start(pod: PodFolder, word: str) -> Json:
    """The last report of a sidecar that does not let the script start, for this reason."""
    process = start_sidecar(pod, {})
    try:
        report = eventually(
            f"the word {word}",
            lambda: next(
                (
                    one
                    for one in (pod.operator.reports if pod.operator else ())
                    if (one["word"] or {}).get("word") == word
                ),
                None,
            ),
        )
        assert process.get("/healthz")[0] == 503
    finally:
        process.kill()
    return dict(report)


def test_a_checkpoint_the_arguments_do_not_name_is_told_to_the_operator(
    folder: Path, s3: S3Server
) -> None:
    files = within("checkpoint-20", hugging_face(20))
    saved(folder / "1", s3, files, 20, directory())
    with a_pod(folder / "2", s3=s3, attempt=2, directory=directory()) as pod:
        pod.grant(newest=None)
        report = refused_start(pod, "RegrantResume")
        assert report["found"] == newest(s3)
        assert pod.last_word()["commit"] == newest(s3)
    with a_pod(folder / "3", s3=s3, attempt=3, directory=directory(resumeArgs=False)) as pod:
        pod.grant(newest=None)
        with pod.sidecar():
            assert len(contents(pod.script_files)) == len(files)


def test_arguments_that_lead_to_no_valid_checkpoint_do_not_start_the_script(
    folder: Path, s3: S3Server
) -> None:
    saved(folder / "1", s3, within("checkpoint-20", hugging_face(20)), 20, directory())
    known = newest(s3)
    for path in (s3.data / "checkpoints" / LINEAGE / "data").rglob("*-f00002"):
        path.unlink()
    config: Json = {"directory": directory(), "onNoneValid": "StartFresh"}
    with a_pod(folder / "2", s3=s3, attempt=2, **config) as pod:
        pod.grant(newest=known, startFresh=True)
        refused_start(pod, "RegrantFresh")
    with a_pod(folder / "3", s3=s3, attempt=3, **config) as pod:
        pod.grant(newest=None, startFresh=True)
        with pod.sidecar():
            assert contents(pod.script_files) == {}
    with a_pod(folder / "4", s3=s3, attempt=4, directory=directory()) as pod:
        pod.grant(newest=known)
        refused_start(pod, "NoValidCheckpoint")


def test_a_checkpoint_of_the_sdk_is_refused_with_the_reason(folder: Path, s3: S3Server) -> None:
    store = lineage_store(s3)
    verify.open_lineage(store, created_at="2026-01-01T00:00:00Z")
    id_ = commit_checkpoint(store, attempt=1, step=7).id
    with a_pod(folder, s3=s3, attempt=2, directory=directory()) as pod:
        pod.grant(newest={"attempt": 1, "step": 7, "id": id_})
        report = refused_start(pod, "NoValidCheckpoint")
    assert "was made by the SDK" in report["word"]["reason"]


def test_a_stopped_sidecar_does_not_hang_on_a_silent_store(folder: Path, s3: S3Server) -> None:
    with a_pod(folder, s3=s3, graceSeconds=6, directory=directory()) as pod:
        pod.grant()
        with pod.sidecar() as sidecar, frozen(s3):
            write(pod.script_files, within("checkpoint-20", hugging_face(20)))
            began = time.monotonic()
            assert sidecar.terminate() == 0
            assert time.monotonic() - began < 25
