"""A pod's worth of surroundings for the sidecar: volumes, annotations, an operator, a process.

with a_pod(tmp_path, s3=server) as pod:        # folders, configuration, a fake operator
    pod.grant()                                 # the operator's annotation
    with pod.sidecar() as sidecar:              # a real process; healthy when it is handed out
        sidecar.ask("POST", "/v1/resume", {"process": 0})
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from kit.operator_fake import FakeOperator, fake_operator
from kit.ports import free_port
from kit.stores import S3Server
from spot_sidecar.config.spot_config import Settings, read_settings
from spot_training.backends.socket_http import Answer, SocketClient
from spot_training.checkpoint import keys
from spot_training.checkpoint.stores.directory import DirectoryStore
from spot_training.checkpoint.stores.s3 import S3Store

T = TypeVar("T")
Json = dict[str, Any]

JOB = {"namespace": "team", "name": "digits", "uid": "uid-of-digits"}
LINEAGE = keys.lineage_prefix("", JOB["namespace"], JOB["name"], JOB["uid"])
BUCKET = "checkpoints"
VOLUME_PATH = "teams"
DRAIN_TOKEN = "token-of-this-pod"
UNREACHABLE_URL = "https://127.0.0.1:1"


def eventually(what: str, look: Callable[[], T | None], *, seconds: float = 20.0) -> T:
    """The first true result of `look`, looked for up to `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds:g} s")


def go_quote(text: str) -> str:
    """A string as Go's %q writes it, as far as annotations need it."""
    replaced = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{replaced}"'


def write_annotations(path: Path, annotations: Mapping[str, str]) -> None:
    """The downward API's file, replaced as a whole."""
    draft = path.with_suffix(".new")
    lines = (f"{key}={go_quote(value)}" for key, value in sorted(annotations.items()))
    draft.write_text("\n".join(lines))
    draft.replace(path)


@dataclass(slots=True)
class PodFolder:
    """The volumes of one pod, and what the operator wrote into its spec and annotations."""

    folder: Path
    config: Json
    operator: FakeOperator | None = None
    uid: str = "pod-uid-1"
    node: str = "node-a"
    launcher: tuple[str, ...] = ()
    """What starts the sidecar, before its own command."""
    annotations: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)

    @property
    def shared(self) -> Path:
        return self.folder / "shared"

    @property
    def socket(self) -> Path:
        return self.shared / "sidecar.sock"

    @property
    def script_files(self) -> Path:
        """What a script without the SDK sees of its volume."""
        return self.folder / "directory" / "data"

    def environment(self) -> dict[str, str]:
        """What the kubelet would set."""
        return {
            "SPOT_CONFIG": json.dumps(self.config),
            "POD_NAME": f"{JOB['name']}-{self.config['attempt']}-0",
            "POD_UID": self.uid,
            "NODE_NAME": self.node,
            "SPOT_SHARED_DIR": str(self.shared),
            "SPOT_PRIVATE_DIR": str(self.folder / "private"),
            "SPOT_DIRECTORY_DIR": str(self.folder / "directory"),
            "SPOT_ANNOTATIONS_FILE": str(self.folder / "annotations"),
            "SPOT_TOKEN_FILE": str(self.folder / "token"),
            "SPOT_TERMINATION_LOG": str(self.folder / "termination-log"),
            "SPOT_HOST": "127.0.0.1",
            "SPOT_PORT": str(self.port),
        }

    def settings(self) -> Settings:
        """The same, read by the sidecar's own code."""
        return read_settings(self.environment())

    def annotate(self, **values: Any) -> None:
        """Set annotations of ours (JSON, or text as it is)."""
        for name, value in values.items():
            text = value if isinstance(value, str) else json.dumps(value)
            self.annotations[f"spottraining.dev/{name}"] = text
        write_annotations(self.folder / "annotations", self.annotations)

    def grant(self, **fields: Any) -> None:
        """The operator's word that the attempt may train."""
        usual: Json = {"newest": None, "suspects": [], "startFresh": False}
        self.annotate(grant={"attempt": self.config["attempt"], **usual, **fields})

    def preempt(self, seconds: float = 60.0) -> None:
        """The operator's notice that the node goes in so many seconds."""
        now = datetime.now(UTC)
        self.annotate(
            notice={
                "kind": "Preempt",
                "deadline": (now + timedelta(seconds=seconds)).isoformat(),
                "source": "operator",
                "observedAt": now.isoformat(),
                "raw": "spot-itn",
            }
        )

    def last_word(self) -> Json:
        """The termination message as the kubelet would read it now."""
        return dict(json.loads((self.folder / "termination-log").read_text() or "{}"))

    @contextlib.contextmanager
    def sidecar(self, **environment: str) -> Iterator[SidecarProcess]:
        """A real sidecar process, healthy; killed at the end if it still runs."""
        sidecar = start_sidecar(self, environment)
        try:
            sidecar.expect_healthy()
            yield sidecar
        finally:
            sidecar.kill()


@contextlib.contextmanager
def a_pod(
    folder: Path,
    *,
    s3: S3Server | None = None,
    volume: Path | None = None,
    attempt: int = 1,
    with_operator: bool = True,
    **config: Any,
) -> Iterator[PodFolder]:
    """A pod's folders with a configuration; `config` replaces fields of SPOT_CONFIG.

    The store is `s3`, or the `volume` mounted at that path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("shared", "private"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "token").write_text("token-1\n")
    with contextlib.ExitStack() as stack:
        operator = stack.enter_context(fake_operator(folder)) if with_operator else None
        url = operator.url if operator else UNREACHABLE_URL
        usual = a_config(s3, attempt=attempt, url=url)
        if volume is not None:
            usual["store"] = {"volume": {"mount": str(volume), "path": VOLUME_PATH}}
        pod = PodFolder(folder, usual | config, operator)
        if operator:
            pod.annotate(ca=operator.bundle)
        yield pod


def a_config(s3: S3Server | None = None, *, attempt: int = 1, url: str = UNREACHABLE_URL) -> Json:
    """SPOT_CONFIG as the operator renders it."""
    store: Json = {"bucket": BUCKET}
    if s3:
        store |= {"endpointURL": s3.url, "region": "us-east-1"}
        store |= {"credentialsDir": str(s3.credentials)}
    return {
        "version": 1,
        "job": dict(JOB),
        "attempt": attempt,
        "rank": 0,
        "ranks": 1,
        "store": {"s3": store},
        "interval": 300.0,
        "highWaterStep": 0,
        "onNoneValid": "Fail",
        "stagingBytes": 64 * 2**20,
        "drainToken": DRAIN_TOKEN,
        "graceSeconds": 30,
        "reports": {"url": url, "interval": 15},
        "notices": {"imds": {"enabled": False, "endpoint": "http://127.0.0.1:1"}},
    }


def lineage_store(s3: S3Server) -> S3Store:
    """The job's lineage on a test server, as the sidecar sees it."""
    return S3Store(s3.settings(BUCKET, LINEAGE))


def lineage_in(volume: Path) -> DirectoryStore:
    """The same in a volume."""
    return DirectoryStore(volume / keys.lineage_prefix(VOLUME_PATH, *JOB.values()).rstrip("/"))


@contextlib.contextmanager
def frozen(server: S3Server) -> Iterator[None]:
    """The server hangs: connections are taken, nothing is answered."""
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


@dataclass(slots=True)
class SidecarProcess:
    """A running `python -m spot_sidecar`."""

    pod: PodFolder
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def client(self) -> SocketClient:
        return SocketClient(self.pod.socket)

    def ask(self, method: str, target: str, body: Json | None = None, **options: float) -> Answer:
        """One request on the trainer's socket."""
        return self.client.insist(method, target, body, **options)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        """One request on the pod's TCP port."""
        connection = http.client.HTTPConnection("127.0.0.1", self.pod.port, timeout=40)
        try:
            connection.request("GET", path, headers=dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def drain(self) -> tuple[int, str]:
        """What the kubelet's preStop hook does."""
        return self.get("/v1/drain", {"X-Spot-Drain": DRAIN_TOKEN})

    def expect_healthy(self, seconds: float = 20.0) -> None:
        """Wait for the startup probe's success."""

        def healthy() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"the sidecar ended: {self.log.read_text()[-4000:]}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self.get("/healthz")[0] == 200
            return False

        eventually("healthy", healthy, seconds=seconds)

    def terminate(self, seconds: float = 30.0) -> int:
        """SIGTERM, as the kubelet sends it after the trainer has ended; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """SIGKILL, and reap."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)


def start_sidecar(pod: PodFolder, environment: Mapping[str, str]) -> SidecarProcess:
    """Start the process; it may not be healthy yet."""
    log = pod.folder / "sidecar.log"
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("SPOT_")}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*pod.launcher, sys.executable, "-m", "spot_sidecar"],
            env={
                **inherited,
                "AWS_EC2_METADATA_DISABLED": "true",
                **pod.environment(),
                **environment,
            },
            stdout=output,
            stderr=output,
        )
    return SidecarProcess(pod, process, log)
