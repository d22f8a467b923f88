"""What can become of a file's bytes. Pure, and never the same as before."""

from __future__ import annotations

import random
from collections.abc import Callable

BLOCK = 4096
_TRIES = 100

Spoil = Callable[[bytes, random.Random], bytes]


def truncate(body: bytes, chance: random.Random) -> bytes:
    """Cut short: of everything, by a byte, or anywhere."""
    return body[: chance.choice([0, len(body) - 1, chance.randrange(len(body))])]


def flip(body: bytes, chance: random.Random) -> bytes:
    """One bit."""
    at = chance.randrange(len(body))
    return body[:at] + bytes([body[at] ^ 1 << chance.randrange(8)]) + body[at + 1 :]


def zero(body: bytes, chance: random.Random) -> bytes:
    """A block that was never written back, or all of it."""
    at = chance.choice([0, chance.randrange(len(body))])
    size = chance.choice([BLOCK, len(body)])
    return (body[:at] + bytes(len(body[at : at + size])) + body[at + size :])[: len(body)]


def shuffle(body: bytes, chance: random.Random) -> bytes:
    """Two blocks in each other's place."""
    size = min(BLOCK, len(body) // 3)
    a = chance.randrange(len(body) // 2 - size + 1)
    b = chance.randrange(len(body) // 2, len(body) - size + 1)
    return b"".join(
        (body[:a], body[b : b + size], body[a + size : b], body[a : a + size], body[b + size :])
    )


def grow(body: bytes, chance: random.Random) -> bytes:
    """Written twice at its end, or with something else behind it."""
    return body + chance.choice([body[-1:], body, chance.randbytes(64)])


def framed(body: bytes, _chance: random.Random) -> bytes:
    """With the framing of a chunked upload inside, as some servers and proxies keep it."""
    return b"%x\r\n%b\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n" % (len(body), body)


def newer(body: bytes, chance: random.Random) -> bytes:
    """One bit, such that a document seems to be of a later version."""
    return body.replace(b'"schema":1', b'"schema":' + chance.choice([b"3", b"5", b"9"]))


SPOILS: dict[str, Spoil] = {
    one.__name__: one for one in (truncate, flip, zero, shuffle, grow, framed, newer)
}
DELETE = "delete"
SWAP = "swap"
"""With the same file of another checkpoint: both then hold what belongs elsewhere."""


def spoiled(kind: str, body: bytes, chance: random.Random) -> bytes:
    """The body after damage of this kind; raises ValueError if nothing came of it."""
    for _ in range(_TRIES):
        if (found := SPOILS[kind](body, chance)) != body:
            return found
    raise ValueError(f"{kind} changes nothing in {body[:80]!r}")
