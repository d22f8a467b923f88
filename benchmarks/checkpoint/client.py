"""The worker that moves files as people do: boto3's transfers, and sendfile for a floor."""

from __future__ import annotations

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.kit.worker import Json, work

BUCKET = "checkpoints"
PART = 16 << 20
AT_ONCE = 8
PATIENCE_SECONDS = 60.0


def connect(url: str, ca: str | None, config: Config | None = None) -> Any:
    """A client as boto3 makes it by default."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test-access",
        aws_secret_access_key="test-secret",  # noqa: S106 - a test server's
        verify=ca,
        config=config,
    )


def unframed() -> Config:
    """For a server that takes no checksums behind a body."""
    return Config(
        request_checksum_calculation="when_required", s3={"payload_signing_enabled": False}
    )


class Client:
    """Each method is a task."""

    def upload_file(self, *, url: str, ca: str | None, file: str) -> Json:
        """`upload_file` of a new client that has made one small request."""
        client = connect(url, ca)
        client.put_object(Bucket=BUCKET, Key="first", Body=b"")
        return _measured(lambda: client.upload_file(file, BUCKET, "uploaded"))

    def sendfile(self, *, port: int, file: str) -> Json:
        """The file in parts, by sendfile: no checksum, no signature, hardly a client."""
        size = Path(file).stat().st_size
        starts = range(0, size, PART)

        def send_all() -> None:
            with ThreadPoolExecutor(AT_ONCE) as pool, Path(file).open("rb") as opened:
                parts = [
                    pool.submit(_send, port, opened.fileno(), start, min(PART, size - start))
                    for start in starts
                ]
                for part in parts:
                    part.result()

        return _measured(send_all)


def _send(port: int, descriptor: int, start: int, count: int) -> None:
    with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as connection:
        head = (
            f"PUT /{BUCKET}/sent-{start} HTTP/1.1\r\nHost: sink\r\nContent-Length: {count}\r\n\r\n"
        )
        connection.sendall(head.encode())
        end = start + count
        connection.settimeout(None)  # sendfile wants a blocking socket; the answer is waited for
        while start < end:
            start += os.sendfile(connection.fileno(), descriptor, start, end - start)
        connection.settimeout(PATIENCE_SECONDS)
        if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
            raise RuntimeError("the sink did not take a part")


def _measured(act: Any) -> Json:
    computed, began = time.process_time(), time.perf_counter()
    act()
    return {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - computed,
    }


if __name__ == "__main__":
    client = Client()
    work({"upload_file": client.upload_file, "sendfile": client.sendfile})
