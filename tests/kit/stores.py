"""Stores for tests: a real S3 server on loopback, and a wrapper that makes trouble."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kit.ports import free_port
from spot_training.checkpoint.content import Content, Room
from spot_training.checkpoint.digest import Digests
from spot_training.checkpoint.store import (
    Cancel,
    Capabilities,
    Stat,
    Store,
    StoreError,
    Throttle,
    Written,
)
from spot_training.checkpoint.stores.s3_client import S3Settings

ACCESS, SECRET = "test-access", "test-secret"
_TOOLCHAIN = Path("~/.cache/spot-training-operator/toolchain/bin").expanduser()
_START_SECONDS = 20.0


@dataclass(slots=True)
class S3Server:
    """A running versitygw; `data` is the folder whose subfolders are its buckets."""

    data: Path
    port: int
    credentials: Path
    process: subprocess.Popen[bytes]
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def make_bucket(self, name: str) -> None:
        (self.data / name).mkdir()

    def settings(self, bucket: str, prefix: str = "team/job/uid/") -> S3Settings:
        """Settings as the sidecar would have them: credentials come from a directory."""
        return S3Settings(
            bucket=bucket,
            prefix=prefix,
            endpoint_url=self.url,
            region="us-east-1",
            credentials_dir=self.credentials,
            connections=4,
        )

    def object_path(self, bucket: str, key: str, prefix: str = "team/job/uid/") -> Path:
        """The file that holds an object, for tests that damage it behind the server's back."""
        return self.data / bucket / (prefix + key)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)


@contextlib.contextmanager
def s3_server(
    folder: Path,
    *,
    port: int | None = None,
    tls: tuple[Path, Path] | None = None,
    virtual_domain: str | None = None,
) -> Iterator[S3Server]:
    """Runs versitygw over `folder` on loopback; killed and reaped on exit.

    `tls` are files of a certificate and its key; with `virtual_domain` it also takes the bucket
    from the host's name below that domain.
    """
    data, credentials = folder / "data", folder / "credentials"
    data.mkdir(exist_ok=True)
    write_credentials(credentials, ACCESS, SECRET)
    port = port or free_port()
    options = ["--port", f"127.0.0.1:{port}", "--quiet"]
    if tls is not None:
        options += ["--cert", str(tls[0]), "--key", str(tls[1])]
    if virtual_domain is not None:
        options += ["--virtual-domain", virtual_domain]
    command = [str(_TOOLCHAIN / "versitygw"), *options, "posix", str(data)]
    environment = {
        "PATH": os.environ["PATH"], "ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET
    }  # fmt: skip
    with (folder / "versitygw.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    server = S3Server(data, port, credentials, process, "https" if tls else "http")
    try:
        _wait_until_answering(server, folder / "versitygw.log")
        yield server
    finally:
        server.stop()


def make_older(path: Path, seconds: float) -> None:
    """As if the file had been written so much earlier, by the clock of whoever keeps it."""
    written = path.stat().st_mtime - seconds
    os.utime(path, (written, written))


def write_credentials(folder: Path, access: str, secret: str) -> None:
    """The files of a mounted Secret."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "AWS_ACCESS_KEY_ID").write_text(access + "\n")
    (folder / "AWS_SECRET_ACCESS_KEY").write_text(secret + "\n")


def _wait_until_answering(server: S3Server, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if server.process.poll() is not None:
            raise RuntimeError(f"versitygw ended: {log.read_text()}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            _ask_for_anything(server)
            return
        time.sleep(0.02)
    raise RuntimeError(f"versitygw did not answer within {_START_SECONDS} s: {log.read_text()}")


def _ask_for_anything(server: S3Server) -> None:
    if server.scheme == "https":
        with socket.create_connection(("127.0.0.1", server.port), timeout=1):
            return  # who listens has its certificate read
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=1)
    connection.request("GET", "/")
    connection.getresponse().read()
    connection.close()


Fault = Callable[[str, str], StoreError | None]


@dataclass(slots=True)
class FaultyStore:
    """A store whose calls fail as `fault(method, key)` says; `calls` records what was asked."""

    inner: Store
    fault: Fault = field(default=lambda _method, _key: None)
    calls: list[tuple[str, str]] = field(default_factory=list)

    def probe(self) -> Capabilities:
        self._asked("probe", "")
        return self.inner.probe()

    def create(self, key: str, body: bytes) -> bool:
        self._asked("create", key)
        return self.inner.create(key, body)

    def read(self, key: str) -> bytes:
        self._asked("read", key)
        return self.inner.read(key)

    def read_range(self, key: str, start: int, size: int) -> bytes:
        self._asked("read_range", key)
        return self.inner.read_range(key, start, size)

    def list(self, prefix: str, *, after: str = "") -> tuple[str, ...]:
        self._asked("list", prefix)
        return self.inner.list(prefix, after=after)

    def written(self, prefix: str) -> Written:
        self._asked("written", prefix)
        return self.inner.written(prefix)

    def folders(self, prefix: str) -> tuple[str, ...]:
        self._asked("folders", prefix)
        return self.inner.folders(prefix)

    def stat(self, key: str) -> Stat:
        self._asked("stat", key)
        return self.inner.stat(key)

    def upload(
        self,
        key: str,
        data: Content,
        digests: Digests,
        *,
        throttle: Throttle | None = None,
        cancel: Cancel | None = None,
    ) -> None:
        self._asked("upload", key)
        self.inner.upload(key, data, digests, throttle=throttle, cancel=cancel)

    def download(
        self, key: str, into: Room, digests: Digests, *, cancel: Cancel | None = None
    ) -> None:
        self._asked("download", key)
        self.inner.download(key, into, digests, cancel=cancel)

    def delete(self, key: str) -> None:
        self._asked("delete", key)
        self.inner.delete(key)

    def discard_abandoned(
        self, spare: Callable[[str], bool], *, older_seconds: float
    ) -> tuple[str, ...]:
        self._asked("discard_abandoned", "")
        return self.inner.discard_abandoned(spare, older_seconds=older_seconds)

    def _asked(self, method: str, key: str) -> None:
        self.calls.append((method, key))
        error = self.fault(method, key)
        if error is not None:
            raise error


def failing(*methods: str, error: type[StoreError], below: str = "", times: int = 10**9) -> Fault:
    """A fault of the named methods on keys below a prefix, the first `times` times."""
    left = [times]

    def fault(method: str, key: str) -> StoreError | None:
        if method not in methods or not key.startswith(below) or not left[0]:
            return None
        left[0] -= 1
        return error(f"{method} {key}: made to fail by a test")

    return fault
