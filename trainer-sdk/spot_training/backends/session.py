"""The connection that tells the sidecar that this process lives: open for as long as it does."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spot_training.backends.cgroup import hand_over
from spot_training.backends.socket_http import UnixConnection
from spot_training.exits import tell

_SILENT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to save, and what a save takes from training (None: not known); seconds."""

    interval: float
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the sidecar says first."""

    attempt: int
    rank: int
    pace: Pace
    notice_path: Path
    progress_path: Path
    counters_path: Path | None = None
    """Where it takes the counters of this container's memory; an older one does not."""


class Session:
    """Holds `GET /v1/session` open in a thread; reconnects when the sidecar restarts."""

    def __init__(self, path: Path, process: int) -> None:
        self._path = path
        self._target = f"/v1/session?process={process}&pid={os.getpid()}"
        self._greeting: Greeting | None = None
        self._pace: Pace | None = None
        self._greeted = threading.Event()
        self._closed = threading.Event()
        self._held: socket.socket | None = None
        self._thread = threading.Thread(target=self._hold, name="spot-session", daemon=True)
        self._thread.start()

    def greeting(self) -> Greeting:
        """Waits for the sidecar for as long as it takes, saying so now and then."""
        while not self._greeted.wait(_SILENT_SECONDS):
            tell(f"waiting for the sidecar at {self._path}")
        if self._greeting is None:
            raise RuntimeError("the session was closed before the sidecar greeted")
        return self._greeting

    @property
    def pace(self) -> Pace | None:
        """The newest the sidecar said; None before its greeting."""
        return self._pace

    def close(self) -> None:
        """Lets go: for the sidecar this process has ended."""
        self._closed.set()
        with contextlib.suppress(OSError):  # not connected, or no longer
            if self._held is not None:
                self._held.shutdown(socket.SHUT_RDWR)
        self._greeted.set()

    def _hold(self) -> None:
        wait = 0.05
        while not self._closed.is_set():
            began = time.monotonic()
            # The sidecar is starting, restarting, or gone with the pod.
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                self._connect()
            wait = 0.05 if time.monotonic() - began > 5 else min(2.0, wait * 2)
            self._closed.wait(wait)

    def _connect(self) -> None:
        """Returns when the sidecar closes the connection."""
        connection = UnixConnection(self._path, timeout=None)
        try:
            connection.connect()
            self._held = connection.sock  # http.client forgets it once it has the response
            connection.request("GET", self._target)
            response = connection.getresponse()
            line = response.readline()
            self._greeting = _parse(line)
            self._pace = self._greeting.pace
            self._greeted.set()
            if self._greeting.counters_path is not None:
                hand_over(self._greeting.counters_path)
            while line := response.readline():
                self._pace = _pace(json.loads(line)) or self._pace
        finally:
            connection.close()


def _parse(line: bytes) -> Greeting:
    data = json.loads(line)
    try:
        return Greeting(
            attempt=int(data["attempt"]),
            rank=int(data["rank"]),
            pace=Pace(float(data["interval"]), data.get("saveSeconds")),
            notice_path=Path(data["noticePath"]),
            progress_path=Path(data["progressPath"]),
            counters_path=Path(data["countersPath"]) if "countersPath" in data else None,
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a greeting: {data!r}") from error


def _pace(data: Any) -> Pace | None:
    """The pace in a later line; other lines are for later versions."""
    if not isinstance(data, dict) or not isinstance(data.get("interval"), int | float):
        return None
    cost = data.get("saveSeconds")
    return Pace(float(data["interval"]), float(cost) if cost is not None else None)
