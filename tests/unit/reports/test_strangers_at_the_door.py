"""What a connection may cost, from the side of who wants it to cost more."""

import asyncio
import json
import ssl
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from kit.reports import a_report_body
from spot_operator.control.clock import SystemClock
from spot_operator.reports import server as door
from spot_operator.reports.authority import advance, issue
from spot_operator.reports.receiver import Answer
from spot_operator.reports.schema import MAX_REPORT_BYTES
from spot_operator.reports.server import ReportsServer
from unit.reports.test_who_may_report import load

Json = dict[str, Any]


class Takes:
    """Takes the token `good` alone, or `good-X` as pod X's, and says which bodies came that far."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def receive(self, token: str, body: bytes) -> Answer:
        self.bodies.append(body)
        good, _, pod = token.partition("-")
        return Answer(200, {}, pod) if good == "good" else Answer(401, {"error": "no"})


@dataclass
class Street:
    """The server, and ways to its door."""

    server: ReportsServer
    takes: Takes
    port: int
    trust: ssl.SSLContext
    visitors: list["Visitor"] = field(default_factory=list)

    async def come(self) -> "Visitor":
        return await self._visit(ssl=self.trust, server_hostname="localhost")

    async def come_without_tls(self) -> "Visitor":
        return await self._visit()

    async def _visit(self, **how: Any) -> "Visitor":
        visitor = Visitor(*await asyncio.open_connection("127.0.0.1", self.port, **how))
        self.visitors.append(visitor)
        return visitor


@dataclass
class Visitor:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def status(self) -> int:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await self.reader.readexactly(length)
        return int(head.split()[1])

    async def is_sent_away(self, within: float = 10.0) -> bool:
        with suppress(ConnectionError, ssl.SSLError):
            return await asyncio.wait_for(self.reader.read(1), within) == b""
        return True

    def leave(self) -> None:
        self.writer.transport.abort()


def request(token: str | None, body: bytes, **headers: str) -> bytes:
    given = {"Host": "localhost", "Content-Length": str(len(body)), **headers}
    if token is not None:
        given["Authorization"] = f"Bearer {token}"
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"POST /v1/reports HTTP/1.1\r\n{lines}\r\n".encode() + body


REPORT = request("good", json.dumps(a_report_body()).encode())


@pytest.fixture
async def street(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Street]:
    for name, value in (
        ("BODY_SECONDS", 0.3),
        ("HANDSHAKE_SECONDS", 0.4),
        ("STRANGER_SECONDS", 0.8),
        ("MAX_STRANGERS", 4),
        ("MAX_HANDSHAKES", 3),
        ("CONNECTIONS_OF_ONE_POD", 2),
    ):
        monkeypatch.setattr(door, name, value)
    now = SystemClock().now()
    _, authority = advance({}, now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = issue(authority, ("localhost",), now)
    load(context, pair.key + pair.certificate)
    takes = Takes()
    server = ReportsServer(takes, context, host="127.0.0.1", port=0)
    port = await server.start()
    street = Street(server, takes, port, ssl.create_default_context(cadata=authority.bundle))
    yield street
    for visitor in street.visitors:
        visitor.leave()
    await server.stop()
    await asyncio.sleep(0)


async def test_who_says_nothing_is_sent_away(street: Street) -> None:
    assert await (await street.come()).is_sent_away()


async def test_who_never_ends_his_header_is_sent_away(street: Street) -> None:
    visitor = await street.come()
    for letter in "POST /v1/reports HTTP/1.1\r\nX: y":
        with suppress(ConnectionError):
            await visitor.send(letter.encode())
        await asyncio.sleep(0.05)
    assert await visitor.is_sent_away()
    assert street.takes.bodies == []


async def test_who_sends_his_body_slowly_is_told_so(street: Street) -> None:
    visitor = await street.come()
    await visitor.send(request("good", b"{", **{"Content-Length": "1000"}))
    assert await visitor.status() == 408
    assert street.takes.bodies == []


async def test_without_a_token_no_body_is_read(street: Street) -> None:
    visitor = await street.come()
    await visitor.send(request(None, b"", **{"Content-Length": "200000"}))
    assert await visitor.status() == 401
    assert street.takes.bodies == [b""]
    assert await visitor.is_sent_away()


async def test_a_body_that_stands_for_a_larger_one_is_not_unpacked(street: Street) -> None:
    bomb = zlib.compress(b" " * 50_000_000, 9)
    visitor = await street.come()
    await visitor.send(request("good", bomb, **{"Content-Encoding": "deflate"}))
    assert await visitor.status() == 200
    assert street.takes.bodies == [bomb]


async def test_a_body_without_an_end_is_read_to_the_bound(street: Street) -> None:
    visitor = await street.come()
    head = request("good", b"", **{"Transfer-Encoding": "chunked"})
    await visitor.send(head.replace(b"Content-Length: 0\r\n", b""))
    with suppress(ConnectionError):
        for _ in range(40):
            await visitor.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
    assert await visitor.status() == 200
    assert [len(one) for one in street.takes.bodies] == [MAX_REPORT_BYTES + 1]


async def test_a_crowd_of_strangers_is_bounded_and_shuts_no_sidecar_out(street: Street) -> None:
    sidecar = await street.come()
    await sidecar.send(REPORT)
    assert await sidecar.status() == 200
    crowd = [await street.come() for _ in range(20)]
    assert street.server.strangers <= 4
    gone = [await one.is_sent_away() for one in crowd]
    assert all(gone)
    for _ in range(2):
        await sidecar.send(REPORT)
        assert await sidecar.status() == 200
    late = await street.come()
    await late.send(REPORT)
    assert await late.status() == 200


async def test_who_does_not_shake_hands_holds_a_place_for_a_moment_only(street: Street) -> None:
    for _ in range(9):
        await street.come_without_tls()
    sidecar = await asyncio.wait_for(street.come(), 5)
    await sidecar.send(REPORT)
    assert await sidecar.status() == 200


async def test_who_talks_no_tls_is_sent_away_and_others_are_served(street: Street) -> None:
    visitor = await street.come_without_tls()
    await visitor.send(REPORT)
    assert await visitor.is_sent_away()
    sidecar = await street.come()
    await sidecar.send(REPORT)
    assert await sidecar.status() == 200


async def test_who_was_refused_is_still_a_stranger(street: Street) -> None:
    visitor = await street.come()
    await visitor.send(request("bad", b"{}"))
    assert await visitor.status() == 401
    assert await visitor.is_sent_away()


@pytest.mark.parametrize("told", [b"", request(None, b"{}")], ids=["by itself", "refused"])
async def test_who_has_left_is_not_sent_away_again(told: bytes, street: Street) -> None:
    """The connection is closed when its time is over: nothing is left to abort."""
    failed: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
    visitor = await street.come()
    await visitor.send(told)
    if told:
        assert await visitor.status() == 401
    visitor.leave()
    await asyncio.sleep(door.STRANGER_SECONDS + 0.2)
    assert failed == []
    assert street.server.strangers == 0


async def test_it_ends_at_once_whoever_is_there(street: Street) -> None:
    for _ in range(3):
        await street.come()
    await street.come_without_tls()
    await asyncio.wait_for(street.server.stop(), 3)
    with pytest.raises(ConnectionRefusedError):
        await street.come()


async def test_a_pod_that_was_heard_keeps_its_newest_connections_alone(street: Street) -> None:
    """Whoever has one pod could hold thousands, each of which brought one good report."""
    body = json.dumps(a_report_body()).encode()
    neighbour = await street.come()
    await neighbour.send(request("good-b", body))
    assert await neighbour.status() == 200
    visitors = []
    for _ in range(6):
        visitor = await street.come()
        await visitor.send(request("good-a", body))
        assert await visitor.status() == 200
        visitors.append(visitor)
    for old in visitors[:-2]:
        assert await old.is_sent_away()
    for pod, kept in (("b", neighbour), ("a", visitors[-2]), ("a", visitors[-1])):
        await kept.send(request(f"good-{pod}", body))
        assert await kept.status() == 200
