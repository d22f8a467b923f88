"""What a server does and does not do, found out by a few small requests at the start.

"S3-compatible" says little: some ignore If-None-Match, some keep no checksums or compare none, some
refuse unsigned payloads over plain http, and some store the framing of chunked uploads as if it
were content. We send no chunked upload, but a proxy in between may.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from dataclasses import dataclass

from spot_training.checkpoint.digest import digest_payload
from spot_training.checkpoint.store import Corrupt, Denied, Misconfigured, StoreError
from spot_training.checkpoint.stores.s3_calls import Calls
from spot_training.checkpoint.stores.s3_client import Connection
from spot_training.checkpoint.stores.s3_errors import (
    NotImplementedThere,
    Precondition,
    Refused,
)

FRAMING = re.compile(rb"[0-9a-fA-F]{1,16}(;chunk-signature=[0-9a-f]{64})?\r\n")
"""How an aws-chunked body begins: the first chunk's length in hex."""
_BODY = memoryview(b"spot-training looks what this store can do\n")
_OTHER = memoryview(b"spot-training sends this with a wrong digest\n"[: len(_BODY)])
_REFUSALS = (Denied, Corrupt, NotImplementedThere, Refused)


@dataclass(frozen=True, slots=True)
class Ability:
    """What a server was seen to do.

    `conditional_create` refuses to overwrite when asked; `checksums` compares our checksums with
    what it receives, and keeps them; `verifies` compares one kind of digest at least, if it is MD5.
    """

    conditional_create: bool
    checksums: bool
    verifies: bool


def look(calls: Calls, connection: Connection) -> Ability:
    """Tries it out on an object of its own, which is deleted again.

    Raises Unreachable, Denied or Misconfigured when the store cannot be used.
    """
    key = f"probe/{uuid.uuid4().hex}"
    try:
        _write(calls, connection, key)
        _expect_as_written(calls, key)
        calls.md5 = False
        checksums = calls.head(key).checksum is not None and _refuses_wrong_digest(calls, key)
        calls.md5 = not checksums
        verifies = checksums or _refuses_wrong_digest(calls, key)
        return Ability(_refuses_to_overwrite(calls, key), checksums, verifies)
    finally:
        with contextlib.suppress(StoreError):
            calls.delete(key)


def _write(calls: Calls, connection: Connection, key: str) -> None:
    """Unsigned payloads if the server takes them, else signed ones; else what it said first."""
    try:
        calls.put_data(key, _BODY, digest_payload(_BODY), None)
    except _REFUSALS as first:
        connection.sign_payloads(signed=True)
        try:
            calls.put_data(key, _BODY, digest_payload(_BODY), None)
        except StoreError:
            connection.sign_payloads(signed=False)
            raise first from None


def _expect_as_written(calls: Calls, key: str) -> None:
    found = calls.get(key)
    if found == bytes(_BODY):
        return
    if FRAMING.match(found):
        raise Misconfigured(
            "the store, or a proxy before it, keeps the aws-chunked framing of uploads inside the "
            "objects; nothing can be saved there: upgrade it, or use another"
        )
    raise Misconfigured(
        f"the store gave back {len(found)} bytes that differ from the {len(_BODY)} it was sent: "
        "look for a proxy that changes bodies (compression, scanning), or use another store"
    )


def _refuses_wrong_digest(calls: Calls, key: str) -> bool:
    try:
        calls.put_with_wrong_digest(key, _OTHER, _BODY)
    except (Corrupt, Refused):
        return True
    return False


def _refuses_to_overwrite(calls: Calls, key: str) -> bool:
    try:
        calls.put(key, b"overwritten", only_new=True)
    except Precondition:
        return True
    except NotImplementedThere:
        return False
    return False
