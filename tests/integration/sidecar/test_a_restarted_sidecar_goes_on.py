"""Killed during an upload, the sidecar goes on with the parts that the server has."""

from __future__ import annotations

from pathlib import Path
from threading import Event

from kit.raw_trainer import begin, expect_state, save, state
from kit.s3_proxy import Asked, s3_proxy
from kit.sidecar import BUCKET, a_pod, eventually, lineage_store
from kit.stores import S3Server
from spot_training.checkpoint import keys, selection, verify
from spot_training.checkpoint.stores.s3_client import connect

NUMBERS = 5 * 2**20
"""40 MiB of state: parts of 16, 16 and 8."""


def test_parts_that_were_sent_are_not_sent_again(folder: Path, s3: S3Server) -> None:
    killed = Event()

    def third_part_waits(asked: Asked) -> None:
        if asked.part == 3:
            killed.wait(30)

    with s3_proxy(s3) as proxy, a_pod(folder, s3=s3) as pod:
        pod.config["store"]["s3"]["endpointURL"] = proxy.url
        proxy.fault = third_part_waits
        pod.grant()
        with pod.sidecar() as sidecar:
            begin(sidecar)
            snapshot = save(sidecar, 7, size=NUMBERS)
            eventually("all parts are asked for", lambda: proxy.parts_sent() == [1, 2, 3])
            expect_state(sidecar, snapshot, "uploading")
            eventually("two are there", lambda: parts_at(s3) == [1, 2])
            sidecar.kill()
        proxy.fault = lambda _asked: None
        proxy.forget()
        killed.set()
        with pod.sidecar() as sidecar:
            assert state(sidecar, snapshot, wait=20) == "committed"
            assert set(proxy.parts_sent()) <= {3}
            assert sidecar.terminate() == 0
    store = lineage_store(s3)
    (commit,) = store.list(keys.COMMITS)
    verdict = verify.verdict(store, str(keys.parse_commit(commit)), node="any")
    assert isinstance(verdict, selection.Good)


def parts_at(s3: S3Server) -> list[int]:
    """The parts of uploads under way, as the server tells them."""
    client, found = connect(s3.settings(BUCKET)), []
    for upload in client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
        told = client.list_parts(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
        found += [part["PartNumber"] for part in told.get("Parts", [])]
    return sorted(found)
