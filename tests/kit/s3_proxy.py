"""A proxy before a real S3 server: loses, halves, refuses and delays, and plays lesser servers.

with s3_proxy(server) as proxy:
    proxy.fault = sometimes(LoseAnswer(), "UploadPart", times=2)      # trouble on the way
    proxy.shape = Shape(checksums=False)                              # another kind of server

Requests reach it over real sockets and are signed anew for the real server, so a shape may change
headers and bodies.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import http.server
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from kit.stores import ACCESS, SECRET, S3Server
from spot_training.checkpoint.stores.s3_client import S3Settings

HANG_SECONDS = 20.0
_HOP = {"connection", "transfer-encoding", "keep-alive"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the proxy received it."""

    operation: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def part(self) -> int:
        """The part's number; 0 for anything but an UploadPart."""
        return int(parse_qs(urlsplit(self.target).query).get("partNumber", ["0"])[0])

    @property
    def access_key(self) -> str:
        found = re.search(r"Credential=([^/]+)/", self.headers.get("authorization", ""))
        return found[1] if found else ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answers in the server's place."""

    status: int
    code: str


@dataclass(frozen=True, slots=True)
class LoseRequest:
    """The connection is reset, and the server never hears of it."""


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """The server does it, and the connection is reset."""


@dataclass(frozen=True, slots=True)
class HalfAnswer:
    """The connection is reset after half of the answer's body."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A bit of the answer's body is flipped."""


@dataclass(frozen=True, slots=True)
class Lag:
    """A list that does not know yet of the keys with this in their names."""

    keys: str


@dataclass(frozen=True, slots=True)
class Hang:
    """The server does it, and the answer does not come."""


Fault = Answer | LoseRequest | LoseAnswer | HalfAnswer | Damage | Lag | Hang


@dataclass(frozen=True, slots=True)
class Shape:
    """What kind of server it seems to be; the default is the server behind it."""

    conditions: bool = True
    checksums: bool = True
    md5: bool = True
    unsigned: bool = True
    framing: bool = False
    lists_uploads: bool = True

    @property
    def plain(self) -> bool:
        return self == Shape()


@dataclass(slots=True)
class S3Proxy:
    """A running proxy."""

    server: S3Server
    port: int = 0
    shape: Shape = field(default_factory=Shape)
    fault: Callable[[Asked], Fault | None] = lambda _asked: None
    asked: list[Asked] = field(default_factory=list)
    """Everything that was asked, without bodies."""
    resigned: bool = False
    """Sign every request anew: whoever signed it, the server lets it in."""
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, bucket: str, **changes: Any) -> S3Settings:
        return dataclasses.replace(
            self.server.settings(bucket), endpoint_url=self.url, read_seconds=5.0, **changes
        )

    def parts_sent(self) -> list[int]:
        """The numbers of all parts that were sent since the last `forget`, repeated ones too."""
        return sorted(asked.part for asked in self.asked if asked.operation == "UploadPart")

    def forget(self) -> None:
        self.asked.clear()


def sometimes(fault: Fault, *operations: str, times: int = 1, part: int = 0) -> Any:
    """The fault for the first `times` requests of these operations (of this part)."""
    left = [times]
    lock = threading.Lock()

    def decide(asked: Asked) -> Fault | None:
        with lock:
            wanted = asked.operation in operations and part in (0, asked.part)
            if not wanted or not left[0]:
                return None
            left[0] -= 1
            return fault

    return decide


@contextlib.contextmanager
def s3_proxy(server: S3Server) -> Iterator[S3Proxy]:
    """Runs a proxy on loopback until the block ends."""
    proxy = S3Proxy(server)
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    listener.daemon_threads = True
    proxy.port = listener.server_address[1]
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.stopped.set()
        listener.shutdown()
        listener.server_close()
        thread.join(10)


def operation_of(method: str, target: str) -> str:
    """The S3 operation, by method and query."""
    url = urlsplit(target)
    query = parse_qs(url.query, keep_blank_values=True)
    if "uploads" in query:
        return "CreateMultipartUpload" if method == "POST" else "ListMultipartUploads"
    if "uploadId" in query:
        return {
            "PUT": "UploadPart", "POST": "CompleteMultipartUpload",
            "DELETE": "AbortMultipartUpload", "GET": "ListParts",
        }[method]  # fmt: skip
    if "list-type" in query:
        return "ListObjectsV2"
    bucket_only = url.path.count("/") == 1
    kind = "Bucket" if bucket_only else "Object"
    return {"GET": "Get", "PUT": "Put", "HEAD": "Head", "DELETE": "Delete"}[method] + kind


class _Handler(http.server.BaseHTTPRequestHandler):
    proxy: S3Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError, ValueError):
            super().handle_one_request()
            return
        self.close_connection = True

    def do_any(self) -> None:
        body = self._body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(operation_of(self.command, self.path), self.path, headers, body)
        self.proxy.asked.append(dataclasses.replace(asked, body=b""))
        fault = self.proxy.fault(asked) or _refused(self.proxy.shape, asked)
        if isinstance(fault, Answer):
            self._reply(fault.status, {"content-type": "application/xml"}, _error(fault))
        elif isinstance(fault, LoseRequest):
            self._reset()
        else:
            self._forward(asked, fault)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_any  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Tests look at `asked` instead."""

    def _body(self) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        size = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(size)
        if len(body) < size:
            raise ConnectionError("the client gave up")
        return body

    def _forward(self, asked: Asked, fault: Fault | None) -> None:
        status, headers, body = _upstream(self.proxy, self.command, asked)
        if isinstance(fault, LoseAnswer):
            self._reset()
        elif isinstance(fault, Hang):
            self.proxy.stopped.wait(HANG_SECONDS)
            self._reset()
        elif isinstance(fault, HalfAnswer):
            self._reply(status, headers, body, sent=len(body) // 2)
            self._reset()
        elif isinstance(fault, Damage) and body:
            middle = len(body) // 2
            bad = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
            self._reply(status, headers, bad)
        elif isinstance(fault, Lag):
            old = _without(body, fault.keys)
            self._reply(status, headers | {"content-length": str(len(old))}, old)
        else:
            self._reply(status, headers, body)

    def _reply(
        self, status: int, headers: Mapping[str, str], body: bytes, *, sent: int | None = None
    ) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "content-length" not in headers:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:sent])

    def _reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.shutdown(socket.SHUT_RD)
        self.connection.close()
        self.close_connection = True


def _without(listed: bytes, keys: str) -> bytes:
    """A list's answer without the objects that have this in their keys."""
    entry = rb"<Contents>(?:(?!</Contents>).)*?<Key>[^<]*" + re.escape(keys).encode()
    return re.sub(entry + rb"[^<]*</Key>.*?</Contents>", b"", listed, flags=re.DOTALL)


def _refused(shape: Shape, asked: Asked) -> Answer | None:
    unsigned = asked.headers.get("x-amz-content-sha256") == "UNSIGNED-PAYLOAD"
    if unsigned and not shape.unsigned:
        return Answer(400, "XAmzContentSHA256Mismatch")
    if asked.operation == "ListMultipartUploads" and not shape.lists_uploads:
        return Answer(501, "NotImplemented")
    return None


def _upstream(proxy: S3Proxy, method: str, asked: Asked) -> tuple[int, dict[str, str], bytes]:
    headers, body = dict(asked.headers), asked.body
    if proxy.resigned or not proxy.shape.plain:
        headers, body = _signed_anew(proxy, method, asked)
    connection = http.client.HTTPConnection("127.0.0.1", proxy.server.port, timeout=30)
    try:
        connection.request(method, asked.target, body=body, headers=headers)
        answer = connection.getresponse()
        found = answer.read()
        told = {n.lower(): v for n, v in answer.getheaders() if n.lower() not in _HOP}
    finally:
        connection.close()
    if not proxy.shape.checksums:
        told = {n: v for n, v in told.items() if not n.startswith("x-amz-checksum-")}
        if asked.operation == "ListParts":
            found = re.sub(rb"<Checksum\w+>[^<]*</Checksum\w+>", b"", found)
            told["content-length"] = str(len(found))
    return answer.status, told, found


def _signed_anew(proxy: S3Proxy, method: str, asked: Asked) -> tuple[dict[str, str], bytes]:
    shape, body = proxy.shape, asked.body
    dropped = {"authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"}
    dropped |= {"host", "expect", "content-length"}
    if not shape.conditions:
        dropped.add("if-none-match")
    checked = shape.checksums and not shape.framing
    kept = {
        name: value
        for name, value in asked.headers.items()
        if name not in dropped
        and (checked or not name.startswith(("x-amz-checksum-", "x-amz-sdk-checksum")))
        and ((shape.md5 and not shape.framing) or name != "content-md5")
    }
    if shape.framing and asked.operation in ("PutObject", "UploadPart"):
        body = b"%x\r\n%b\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n" % (len(body), body)
    if not checked and asked.operation == "CompleteMultipartUpload":
        body = re.sub(rb"<Checksum\w+>[^<]*</Checksum\w+>", b"", body)
        kept.pop("x-amz-mp-object-size", None)
    url = f"http://127.0.0.1:{proxy.server.port}{asked.target}"
    request = AWSRequest(method=method, url=url, headers=kept, data=body)
    S3SigV4Auth(ReadOnlyCredentials(ACCESS, SECRET, None), "s3", "us-east-1").add_auth(request)
    return {**dict(request.headers.items()), "Content-Length": str(len(body))}, body


def _error(answer: Answer) -> bytes:
    return f"<Error><Code>{answer.code}</Code><Message>by a test</Message></Error>".encode()
