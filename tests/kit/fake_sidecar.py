"""The sidecar's end of the socket, scripted: what the trainer's end is tested against."""

from __future__ import annotations

import contextlib
import json
import queue
import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from spot_training.checkpoint import arena

Reply = tuple[int, dict[str, Any]]


class FakeSidecar:
    """Answers from `replies[path]`: each reply once, the last one for ever. Records `requests`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "sidecar.sock"
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.sessions = 0
        self.closed = 0
        self.lines: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.dropping = threading.Event()
        self.greeting = {
            "attempt": 3, "rank": 0, "interval": 60.0, "sharedDir": str(folder),
            "noticePath": str(folder / "notice.json"), "progressPath": str(folder / "progress-p0"),
        }  # fmt: skip
        self.replies: dict[str, list[Reply]] = {
            "/v1/resume": [(200, {"decision": "fresh"})],
            "/v1/snapshots": [(200, {"snapshot": "s1"})],
            "/v1/snapshots/s1": [(200, {"state": "committed"})],
            "/v1/arenas/acquire": [(200, {"index": 0})],
            "/v1/complete": [(200, {"completed": True, "acknowledged": True})],
        }

    def answer(self, path: str, body: dict[str, Any]) -> Reply:
        self.requests.append((path, body))
        if path == "/v1/arenas" and path not in self.replies:
            return 200, {"arenas": [self._arena(index, body["bytes"]) for index in (0, 1)]}
        replies = self.replies.get(path, [(200, {})])
        return replies.pop(0) if len(replies) > 1 else replies[0]

    def told(self, path: str) -> list[dict[str, Any]]:
        """The bodies of every request to `path`."""
        return [body for asked, body in self.requests if asked == path]

    def _arena(self, index: int, size: int) -> dict[str, Any]:
        path = self.folder / f"arena-p0-{index}"
        arena.allocate(path, size)
        return {"index": index, "path": str(path), "bytes": size}


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, sidecar: FakeSidecar) -> None:
        super().__init__(str(sidecar.socket), _Handler)
        self.sidecar = sidecar


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/v1/session":
            self._session(self.server.sidecar)
        else:
            self._reply(*self.server.sidecar.answer(path, {}))

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length))
        self._reply(*self.server.sidecar.answer(self.path, body))

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""

    def address_string(self) -> str:
        return "unix"

    def _session(self, sidecar: FakeSidecar) -> None:
        sidecar.sessions += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(sidecar.greeting).encode() + b"\n")
        self.wfile.flush()
        while not sidecar.dropping.wait(0.01):
            with contextlib.suppress(queue.Empty):
                self.wfile.write(json.dumps(sidecar.lines.get_nowait()).encode() + b"\n")
            if self._hung_up():
                sidecar.closed += 1
                return

    def _hung_up(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def _reply(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def serving(sidecar: FakeSidecar) -> Iterator[FakeSidecar]:
    """Serves on the socket until the block ends; can be entered again, like a restart."""
    sidecar.socket.unlink(missing_ok=True)
    sidecar.dropping.clear()
    with _Server(sidecar) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield sidecar
        finally:
            sidecar.dropping.set()
            server.shutdown()
            thread.join()
            sidecar.socket.unlink(missing_ok=True)
