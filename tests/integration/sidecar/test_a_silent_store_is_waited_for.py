"""Trouble with the store: said, waited out, and never a reason to start from zero."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from kit.raw_trainer import begin, expect_state, save
from kit.s3_proxy import Shape, s3_proxy
from kit.sidecar import BUCKET, PodFolder, a_pod, eventually, frozen, lineage_store
from kit.stores import S3Server, s3_server, write_credentials
from kit.trainer_process import a_trainer
from spot_training.checkpoint import keys


def reported_problem(pod: PodFolder, kind: str) -> object:
    assert pod.operator is not None
    operator = pod.operator
    return eventually(
        kind,
        lambda: operator.find(lambda r: r["problem"] and r["problem"]["kind"] == kind),
        seconds=60,
    )


def test_a_store_that_comes_late_is_resumed_from(folder: Path) -> None:
    with s3_server(folder) as server:
        server.make_bucket(BUCKET)
        with a_pod(folder / "1", s3=server) as pod, pod.sidecar():
            pod.grant()
            with a_trainer(pod, steps=5) as trainer:
                assert trainer.ended() == 0
        store = lineage_store(server)
        store.delete(keys.marker(1))
        port = server.port
    with a_pod(folder / "2", s3=server, attempt=2) as pod, pod.sidecar():
        pod.grant()
        with a_trainer(pod, steps=8) as trainer:
            reported_problem(pod, "StoreUnreachable")
            assert trainer.lines() == []
            with s3_server(folder, port=port):
                assert trainer.ended() == 0
                assert trainer.steps() == [6, 7, 8]
            assert pod.last_word()["problem"] is None


def test_a_store_that_keeps_framing_in_objects_is_refused_in_words(
    folder: Path, s3: S3Server
) -> None:
    """And used at once when it no longer does: nothing has to be restarted."""
    with s3_proxy(s3) as proxy, a_pod(folder, s3=s3) as pod:
        pod.config["store"]["s3"]["endpointURL"] = proxy.url
        proxy.shape = Shape(framing=True)
        pod.grant()
        with pod.sidecar() as sidecar:
            report = reported_problem(pod, "StoreUnreachable")
            assert "aws-chunked framing" in str(report)
            # Each further try has its own object to try with for a moment.
            eventually("an empty store", lambda: lineage_store(s3).list("") == ())
            proxy.shape = Shape()
            assert begin(sidecar) == {"decision": "fresh"}


def test_wrong_credentials_are_said_and_right_ones_work_at_once(folder: Path, s3: S3Server) -> None:
    credentials = folder / "credentials"
    shutil.copytree(s3.credentials, credentials)
    write_credentials(credentials, "test-access", "wrong")
    store = {
        "bucket": BUCKET,
        "endpointURL": s3.url,
        "region": "us-east-1",
        "credentialsDir": str(credentials),
    }
    with a_pod(folder / "pod", store={"s3": store}) as pod, pod.sidecar() as sidecar:
        pod.grant()
        reported_problem(pod, "StoreDenied")
        assert sidecar.ask("POST", "/v1/resume", {"process": 0, "wait": 0}).status == 202
        write_credentials(credentials, "test-access", "test-secret")
        answer = sidecar.ask("POST", "/v1/resume", {"process": 0, "wait": 25})
        assert answer.body == {"decision": "fresh"}


def test_an_outage_delays_the_checkpoint_and_loses_nothing(folder: Path) -> None:
    with s3_server(folder) as server:
        server.make_bucket(BUCKET)
        port = server.port
        with a_pod(folder / "1", s3=server, interval=0.3) as pod, pod.sidecar():
            pod.grant()
            with a_trainer(pod, steps=100, pause=0.05) as trainer:
                trainer.reached(3)
                server.stop()
                reported_problem(pod, "StoreUnreachable")
                trainer.reached(90)
                with s3_server(folder, port=port) as again:
                    assert trainer.ended() == 0
                    assert trainer.steps() == list(range(1, 101))
                    newest = keys.parse_commit(lineage_store(again).list(keys.COMMITS)[0])
                    assert newest is not None
                    assert newest.step == 100


def test_a_silent_store_does_not_hold_up_the_end_of_the_pod(folder: Path, s3: S3Server) -> None:
    with a_pod(folder, s3=s3, graceSeconds=6) as pod, pod.sidecar() as sidecar:
        pod.grant()
        begin(sidecar)
        with frozen(s3):
            snapshot = save(sidecar, 1)
            expect_state(sidecar, snapshot, "uploading")
            begun = time.monotonic()
            assert sidecar.terminate(10) == 0
            assert time.monotonic() - begun < 6
        assert pod.last_word()["commit"] is None
