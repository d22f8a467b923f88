"""AWS's own metadata mock on loopback: from its announcement to the trainer's file."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kit.ports import free_port
from kit.sidecar import PodFolder, a_pod, eventually
from kit.stores import S3Server

MOCK = Path("~/.cache/spot-training-operator/toolchain/bin/ec2-metadata-mock").expanduser()
KNOWS_SECONDS = 3.0
"""What the project promises from the announcement to the trainer's knowledge."""


@contextlib.contextmanager
def metadata_mock(folder: Path, port: int, *arguments: str) -> Iterator[None]:
    """Runs the mock, tokens required, for any number of clients."""
    command = [str(MOCK), "-n", "127.0.0.1", "-p", str(port), "-I", "--mock-ip-count", "-1"]
    with (folder / "mock.log").open("ab") as log:
        process = subprocess.Popen([*command, *arguments], stdout=log, stderr=log)
    try:
        eventually("the mock", lambda: listens(port))
        yield
    finally:
        process.kill()
        process.wait(10)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def imds(port: int) -> dict[str, Any]:
    return {"imds": {"enabled": True, "endpoint": f"http://127.0.0.1:{port}"}}


def notice_file(pod: PodFolder, kind: str) -> dict[str, Any]:
    path = pod.shared / "notice.json"

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found if found.get("kind") == kind else None

    return eventually(kind, look)


def test_an_interruption_reaches_the_trainer_within_three_seconds(
    folder: Path, s3: S3Server
) -> None:
    port = free_port()
    deadline = (datetime.now(UTC) + timedelta(seconds=90)).replace(microsecond=0)
    with a_pod(folder, s3=s3, notices=imds(port)) as pod, pod.sidecar():
        assert pod.operator is not None
        operator = pod.operator
        with metadata_mock(folder, port, "events"):
            eventually("healthy", lambda: healthy(pod), seconds=30)
            assert not (pod.shared / "notice.json").exists()
        at = deadline.strftime("%Y-%m-%dT%H:%M:%SZ")
        with metadata_mock(folder, port, "spot", "-a", "terminate", "-t", at):
            begun = time.monotonic()
            notice = notice_file(pod, "Preempt")
            took = time.monotonic() - begun
            report = eventually("the report", lambda: operator.find(lambda r: r["notice"]))
    assert took < KNOWS_SECONDS
    assert datetime.fromisoformat(notice["deadline"]) == deadline
    assert notice["source"] == "imds"
    assert json.loads(notice["raw"]) == {"action": "terminate", "time": at}
    assert report["notice"]["kind"] == "Preempt"
    assert report["notice"]["toldAt"] is not None


def test_a_sliding_time_does_not_extend_the_deadline(folder: Path, s3: S3Server) -> None:
    port = free_port()
    with (
        a_pod(folder, s3=s3, notices=imds(port)) as pod,
        pod.sidecar() as sidecar,
        metadata_mock(folder, port, "spot", "-a", "stop"),
    ):
        first = notice_file(pod, "Preempt")
        asked = answers_of(folder)
        # Each answer of this mock says "in two minutes": the deadline must not follow.
        eventually("two more polls", lambda: answers_of(folder) >= asked + 2)
        assert notice_file(pod, "Preempt")["deadline"] == first["deadline"]
        assert 'spot_notice_source_up{source="imds"} 1.0' in sidecar.get("/metrics")[1]


def answers_of(folder: Path) -> int:
    """How often the mock was asked about an interruption."""
    return (folder / "mock.log").read_text().count("spot/instance-action")


def healthy(pod: PodFolder) -> bool:
    """Ask for a report (any change makes one) and see what the last one says of the source."""
    assert pod.operator is not None
    pod.annotate(nudge=str(time.monotonic()))
    report = pod.operator.reports[-1] if pod.operator.reports else {}
    return bool(report.get("sources", {}).get("imds", {}).get("healthy"))
