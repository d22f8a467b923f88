"""Every pod of the cluster may reach the sidecar's port: that costs little and hides no drain."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from spot_sidecar.observability.metrics import Metrics
from spot_sidecar.pod_api.connections import ConnectionLimit
from spot_sidecar.pod_api.drain import Drain
from spot_sidecar.pod_api.routes import build_pod_app
from spot_sidecar.pod_api.server import serve_pod

TOKEN = "the-token-of-this-pod"
SECONDS = 10.0
"""For anything that is waited for."""


class SlowDrain:
    """Lasts until it may end."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def drain(self) -> str:
        self.begun.set()
        await self.may_end.wait()
        return "stored"


class Port:
    """The served port, and what came to it."""

    def __init__(self, number: int, connections: ConnectionLimit, drain: SlowDrain) -> None:
        self.number = number
        self.connections = connections
        self.drain = drain
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self, sent: bytes = b"") -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number)
        self._writers.append(writer)
        writer.write(sent)
        return reader

    async def send(self, head: bytes) -> asyncio.StreamReader:
        return await self.connect(head + b"\r\n\r\n")

    def leave(self) -> None:
        for writer in self._writers:
            writer.close()

    async def status(self, head: bytes) -> int:
        reader = await self.send(head)
        line = await asyncio.wait_for(reader.readline(), SECONDS)
        return int(line.split()[1])


def at_a_port(
    play: Callable[[Port], Awaitable[None]], *, limit: int = 8, seconds: float = 60.0
) -> None:
    async def scenario() -> None:
        connections, drain = ConnectionLimit(limit, seconds), SlowDrain()
        app = build_pod_app(
            cast("Drain", drain), Metrics(), connections, drain_token=TOKEN, ready=lambda: True
        )
        runner = await serve_pod(app, "127.0.0.1", 0, connections)
        port = Port(runner.addresses[0][1], connections, drain)
        try:
            await play(port)
        finally:
            port.leave()
            await runner.cleanup()

    asyncio.run(scenario())


def a_drain(token: bytes) -> bytes:
    return b"GET /v1/drain HTTP/1.1\r\nHost: pod\r\nX-Spot-Drain: " + token


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(b"GET /v1/drain HTTP/1.1\r\nHost: pod", 403, id="no token"),
        pytest.param(a_drain(b"another"), 403, id="another token"),
        pytest.param(a_drain(b"\xff\xfe\x80"), 403, id="bytes that are no text"),
        pytest.param(a_drain(TOKEN.encode() + b"x"), 403, id="more than the token"),
        pytest.param(a_drain(b"a" * 20_000), 400, id="a header without end"),
        pytest.param(
            b"POST /v1/drain HTTP/1.1\r\nHost: pod\r\nContent-Length: 9999999999", 405, id="a body"
        ),
        pytest.param(b"nonsense", 400, id="no HTTP"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nHost: pod", 200, id="a probe"),
    ],
)
def test_whatever_is_sent_has_its_answer(head: bytes, status: int) -> None:
    async def play(port: Port) -> None:
        assert await port.status(head) == status
        assert not port.drain.begun.is_set()

    at_a_port(play)


def test_strangers_are_few_and_hide_neither_a_probe_nor_a_drain() -> None:
    async def play(port: Port) -> None:
        first = await port.connect()
        for _ in range(100):
            await port.connect()
        assert await asyncio.wait_for(first.read(), SECONDS) == b"", "the oldest goes first"
        assert len(port.connections) <= 8
        assert await port.status(b"GET /healthz HTTP/1.1\r\nHost: pod") == 200
        drained = await port.send(a_drain(TOKEN.encode()))
        await asyncio.wait_for(port.drain.begun.wait(), SECONDS)
        for _ in range(100):
            await port.connect()
        port.drain.may_end.set()
        assert b"200" in await asyncio.wait_for(drained.readline(), SECONDS)

    at_a_port(play)


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nX: "])
def test_who_sends_no_whole_request_does_not_stay(sent: bytes) -> None:
    async def play(port: Port) -> None:
        reader = await port.connect(sent)
        assert await asyncio.wait_for(reader.read(), SECONDS) == b""
        assert len(port.connections) == 0

    at_a_port(play, seconds=0.2)
