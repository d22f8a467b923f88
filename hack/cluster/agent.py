"""Commands that a machine with a kernel of its own runs for us, as its root."""

from __future__ import annotations

import shlex
import socket
import time
from contextlib import closing

from .errors import CommandError, NotReadyError

PORT = 2222
_END = "ended-with-status"


class Agent:
    """The guest's side is `node-agent` on its disk: a shell for whoever may connect."""

    def __init__(self, name: str, address: str) -> None:
        self._name, self._address = name, address

    def run(self, command: str, within: float = 60) -> str:
        """What the shell command prints; raises `CommandError` when it fails or takes too long."""
        limit = time.monotonic() + within
        with closing(self._connect(limit)) as connection:
            connection.settimeout(max(0.1, limit - time.monotonic()))
            script = f"bash -c {shlex.quote(command)} </dev/null; echo; echo {_END} $?; exit\n"
            try:
                connection.sendall(script.encode())
                printed = _all(connection, limit)
            except OSError as error:
                raise CommandError(f"{self._name}: {command}: {error}") from error
        said, found, status = printed.rpartition(f"\n{_END} ")
        if not found:
            raise CommandError(f"{self._name} broke off: {command}\n{printed}")
        if status.strip() != "0":
            raise CommandError(f"{self._name}: {command}: status {status.strip()}\n{said}")
        return said

    def tell(self, command: str, within: float = 20) -> None:
        """Have the command run without waiting for an answer: it may end the machine."""
        with closing(self._connect(time.monotonic() + within)) as connection:
            connection.sendall(f"nohup bash -c {shlex.quote(command)} &\nexit\n".encode())
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(2)
            # Closed too early, the shell might not have read it.
            try:
                while connection.recv(4096):
                    pass
            except OSError:
                return

    def _connect(self, limit: float) -> socket.socket:
        while True:
            try:
                return socket.create_connection((self._address, PORT), timeout=3)
            except OSError as error:
                if time.monotonic() > limit:
                    raise NotReadyError(f"{self._name} takes no commands: {error}") from error
                time.sleep(0.2)


def _all(connection: socket.socket, limit: float) -> str:
    parts: list[bytes] = []
    while part := connection.recv(65536):
        parts.append(part)
        connection.settimeout(max(0.1, limit - time.monotonic()))
    return b"".join(parts).decode(errors="replace")
