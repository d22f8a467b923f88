"""A loopback TCP proxy that lets so many bytes per second through to the server, per connection."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

PIECE = 64 * 1024


class SlowProxy:
    """Forwards to `port`; `rate` (bytes per second upwards, None: no limit) may change any time."""

    def __init__(self, port: int, rate: float | None) -> None:
        self.rate = rate
        self._target = port
        self._listener = socket.socket()
        # Small, or what the system buffers would look as if it had been sent.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Take no more connections; those that stand end with their peers."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._pump, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, slowly: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                if slowly and self.rate is not None:
                    time.sleep(len(piece) / self.rate)
                sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()


@contextlib.contextmanager
def slow_proxy(port: int, rate: float | None) -> Iterator[SlowProxy]:
    """A proxy to `port` on loopback for as long as the block lasts."""
    proxy = SlowProxy(port, rate)
    try:
        yield proxy
    finally:
        proxy.close()
