"""HTTP/1.1 with JSON over a Unix socket, by the standard library."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONNECT_SECONDS = 5.0


class SidecarError(Exception):
    """The sidecar refused a request: its HTTP status, and a message that says what to change."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(body.get("error", str(body)) if isinstance(body, dict) else str(body))
        self.status = status
        self.body = body


class SidecarGone(ConnectionError):  # noqa: N818 - named for what happened
    """The sidecar did not answer for the time that the call may take."""


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection to a socket file."""

    def __init__(self, path: Path, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CONNECT_SECONDS)
        self.sock.connect(str(self._path))
        self.sock.settimeout(self.timeout)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status below 400 and its JSON."""

    status: int
    body: Any


@dataclass(frozen=True, slots=True)
class SocketClient:
    """Requests to one sidecar, each on its own connection; usable from every thread."""

    path: Path
    pause: Callable[[float], None] = time.sleep

    def request(
        self, method: str, target: str, body: Any = None, *, timeout: float = 30.0
    ) -> Answer:
        """One request, once. Raises SidecarError for a 4xx or 5xx, OSError if nobody answers."""
        connection = UnixConnection(self.path, timeout)
        try:
            content = None if body is None else json.dumps(body).encode("utf-8")
            headers = {"Content-Type": "application/json"} if content is not None else {}
            connection.request(method, target, content, headers)
            response = connection.getresponse()
            return _answer(response.status, response.read())
        except http.client.HTTPException as error:
            raise ConnectionError(f"the sidecar broke off: {error!r}") from error
        finally:
            connection.close()

    def insist(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        timeout: float = 30.0,
        limit: float = 60.0,
    ) -> Answer:
        """`request` until somebody answers: a sidecar restarts within seconds.

        Raises SidecarGone after `limit` seconds without an answer.
        """
        end = time.monotonic() + limit
        wait = 0.05
        while True:
            try:
                return self.request(method, target, body, timeout=timeout)
            except OSError as error:
                if time.monotonic() + wait > end:
                    raise SidecarGone(f"no answer from {self.path} for {limit:g} s") from error
            self.pause(wait)
            wait = min(2.0, wait * 2)


def _answer(status: int, content: bytes) -> Answer:
    try:
        body = json.loads(content) if content else {}
    except ValueError:
        body = {"error": content.decode("utf-8", "replace")[:200]}
    if status >= 400:
        raise SidecarError(status, body)
    return Answer(status, body)
