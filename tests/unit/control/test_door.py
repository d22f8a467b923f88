"""A port that anybody may reach: how many connections there are, how long, and whose go first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from spot_operator.control.door import Door, Strangers

MOST = 4
SECONDS = 0.8


@dataclass
class Visitor:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def is_sent_away(self, within: float = 5.0) -> bool:
        with suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(1), within) == b""
        return True

    async def is_welcome(self) -> bool:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(self.reader.read(1), 0.1)
        return True


@dataclass
class Street:
    """The door, and ways to it."""

    strangers: Strangers
    port: int
    visitors: list[Visitor] = field(default_factory=list)

    async def come(self, address: str = "127.0.0.1") -> Visitor:
        visitor = Visitor(
            *await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))
        )
        self.visitors.append(visitor)
        return visitor


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    strangers = Strangers(MOST, SECONDS)
    door = Door(strangers, handshakes=2)
    street = Street(strangers, door.open(asyncio.Protocol, "127.0.0.1", 0))
    yield street
    await door.close()
    for visitor in street.visitors:
        visitor.writer.transport.abort()
    await asyncio.sleep(0)


async def test_who_says_nothing_is_sent_away(street: Street) -> None:
    assert await (await street.come()).is_sent_away()
    assert len(street.strangers) == 0


async def test_there_are_never_more_than_so_many(street: Street) -> None:
    crowd = [await street.come() for _ in range(20)]
    assert [await one.is_sent_away() for one in crowd[:-MOST]] == [True] * 16
    assert len(street.strangers) <= MOST


async def test_a_crowd_of_one_address_shuts_nobody_else_out(street: Street) -> None:
    other = await street.come("127.0.0.2")
    await asyncio.sleep(0.05)
    for _ in range(20):
        await street.come("127.0.0.3")
    assert await other.is_welcome()


async def test_who_is_known_stays(street: Street) -> None:
    visitor = await street.come()
    await asyncio.sleep(0.05)
    (transport,) = street.strangers._there
    street.strangers.known(transport)
    await asyncio.sleep(SECONDS + 0.1)
    assert await visitor.is_welcome()
    transport.close()
