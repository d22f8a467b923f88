"""Builds the sink and runs it, over http or TLS."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from cluster.pki import Authority
from kit.ports import free_port
from kit.sidecar import Json
from kit.stores import ACCESS, SECRET, S3Server, write_credentials
from toolchain.build import empty_folder
from toolchain.commands import Step, perform
from toolchain.golang import build_environment, find_go
from toolchain.layout import Cache
from toolchain.locking import exclusive
from toolchain.progress import say

SOURCE = Path(__file__).with_name("sink")
START_SECONDS = 20.0


def built(cache: Cache) -> Path:
    """The program, compiled now if its source changed; standard library only."""
    sources = [path.read_bytes() for path in sorted(SOURCE.iterdir())]
    key = hashlib.sha256(b"\0".join(sources)).hexdigest()[:12]
    program = cache.root / "benchmarks" / f"sink-{key}"
    with exclusive(cache.lock("sink"), say):
        if not program.exists():
            _compile(program, empty_folder(cache.scratch("sink")), cache)
    return program


@contextlib.contextmanager
def a_sink(
    program: Path, folder: Path, *, tls: bool = False, keep: bool = False
) -> Iterator[S3Server]:
    """A running sink; `keep` lets it keep large bodies in `folder`. Killed and reaped on exit."""
    folder.mkdir(parents=True)
    credentials = folder / "credentials"
    write_credentials(credentials, ACCESS, SECRET)
    port = free_port()
    argv = [str(program), "-address", f"127.0.0.1:{port}"]
    if tls:
        issued = Authority(folder / "pki").issue("sink", "sink", hosts=["127.0.0.1"])
        argv += ["-cert", str(issued.certificate), "-key", str(issued.key)]
    if keep:
        argv += ["-keep", str(folder)]
    with (folder / "sink.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    server = S3Server(folder, port, credentials, process, "https" if tls else "http")
    try:
        _wait(server, folder / "sink.log")
        yield server
    finally:
        server.stop()


def authority(server: S3Server) -> Path | None:
    """Whom a client has to trust."""
    return server.data / "pki" / "ca.crt" if server.scheme == "https" else None


def store_at(server: S3Server, bucket: str) -> Json:
    """SPOT_CONFIG's store for the server."""
    s3: Json = {
        "bucket": bucket,
        "endpointURL": server.url,
        "region": "us-east-1",
        "credentialsDir": str(server.credentials),
    }
    ca = authority(server)
    return {"s3": s3 | ({"caFile": str(ca)} if ca else {})}


def _compile(program: Path, scratch: Path, cache: Cache) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    draft = scratch / "sink"
    argv = [str(find_go(cache).program), "build", "-o", str(draft), "."]
    environ = build_environment(os.environ, scratch)
    cache.logs.mkdir(parents=True, exist_ok=True)
    perform(Step("sink", argv, 5, cwd=SOURCE, environ=environ), cache.logs / "sink.log")
    draft.replace(program)
    shutil.rmtree(scratch)


def _wait(server: S3Server, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.process.poll() is not None:
            raise RuntimeError(f"the sink ended: {log.read_text()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"the sink did not listen within {START_SECONDS:g} s")
