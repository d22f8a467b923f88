"""One S3 request per method, in the words of `checkpoint.store`.

Nothing is tried twice here, but for a request whose credentials turn out to have expired.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from spot_training.checkpoint.content import Room
from spot_training.checkpoint.digest import Digests, algorithm, digest_payload
from spot_training.checkpoint.retry import expect_going_on
from spot_training.checkpoint.store import (
    Cancel,
    Corrupt,
    Misconfigured,
    NotFound,
    Stat,
    StoreError,
)
from spot_training.checkpoint.stores.s3_client import Connection
from spot_training.checkpoint.stores.s3_errors import Expired, explained

_CHECKSUMS = {"crc64nvme": "ChecksumCRC64NVME", "crc32": "ChecksumCRC32"}
_SLICE = 1 << 20  # bytes between two looks at the cancel event


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing: (key, last modified), the next page's token, the server's own time."""

    entries: tuple[tuple[str, datetime], ...]
    token: str | None
    date: datetime | None


@dataclass(frozen=True, slots=True)
class SentPart:
    """A part that the server has; `digest` is what it keeps of it, in hex, if it keeps any."""

    number: int
    size: int
    etag: str
    digest: str | None


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """A multipart upload that was begun."""

    key: str
    id: str
    initiated: datetime


class Calls:
    """Requests about keys below one prefix of one bucket."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._bucket = connection.settings.bucket
        self._prefix = connection.settings.prefix
        self.md5 = False
        """Protect what is sent by Content-MD5: the server does not check the digests."""

    def put(self, key: str, body: bytes, *, only_new: bool = False) -> None:
        """Writes a document; with `only_new` raises Precondition if the key exists."""
        condition = {"IfNoneMatch": "*"} if only_new else {}
        self._ask(key, "put_object", Body=body, **condition)

    def put_data(self, key: str, data: memoryview, digests: Digests, cancel: Cancel | None) -> None:
        """Writes an object of one part; the server checks its digest."""
        with _noticing(cancel):
            self._ask(
                key,
                "put_object",
                Body=_Body(data, cancel),
                ContentLength=len(data),
                **self._check(data, digests.algorithm, digests.whole),
            )

    def put_with_wrong_digest(self, key: str, data: memoryview, other: memoryview) -> None:
        """Writes `data` with the digest of `other`; a server that compares raises."""
        digests = digest_payload(other)
        check = self._check(other, digests.algorithm, digests.whole)
        self._ask(key, "put_object", Body=_Body(data, None), ContentLength=len(data), **check)

    def get(self, key: str) -> bytes:
        with explained(self._name(key)):
            body: bytes = self._ask(key, "get_object")["Body"].read()
            return body

    def get_some(self, key: str, start: int, size: int) -> bytes:
        """Up to `size` bytes from byte `start`, fewer where the object ends."""
        end = start + size - 1
        with explained(self._name(key)):
            answer = self._ask(key, "get_object", Range=f"bytes={start}-{end}")
            body: bytes = answer["Body"].read()
            return body

    def get_range(
        self, key: str, start: int, end: int, into: Room, digests: Digests, cancel: Cancel | None
    ) -> str:
        """Fills [start, end) of `into`; returns the digest of what came.

        Raises Corrupt if the object has another size than `digests` say.
        """
        chosen = algorithm(digests.algorithm)
        value, at = 0, start
        for piece in self._pieces(key, start, end, digests.size, cancel):
            value = chosen.update(piece, value)
            into[at : at + len(piece)] = piece
            at += len(piece)
        return chosen.hex(value)

    def hash_range(
        self, key: str, start: int, end: int, digests: Digests, cancel: Cancel | None
    ) -> str:
        """The digest of the bytes [start, end), as the server now gives them."""
        chosen = algorithm(digests.algorithm)
        value = 0
        for piece in self._pieces(key, start, end, digests.size, cancel):
            value = chosen.update(piece, value)
        return chosen.hex(value)

    def head(self, key: str) -> Stat:
        try:
            answer = self._ask(key, "head_object", ChecksumMode="ENABLED")
        except NotFound:
            self._expect_bucket()  # a HEAD has no body to say which of the two is missing
            raise
        for name, field in _CHECKSUMS.items():
            if field in answer and answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
                return Stat(answer["ContentLength"], name, _hex(answer[field]))
        return Stat(answer["ContentLength"])

    def page(self, prefix: str, token: str | None, after: str = "") -> Page:
        """Up to 1000 keys below `prefix`, from `after` on, and the token of the next page."""
        start = {"StartAfter": self._prefix + after} if after else {}
        answer = self._list(prefix, token, **start)
        found = tuple(
            (item["Key"][len(self._prefix) :], item["LastModified"])
            for item in answer.get("Contents", ())
        )
        return Page(found, _next(answer), _date(answer))

    def folders(self, prefix: str, token: str | None) -> tuple[list[str], str | None]:
        """Up to 1000 names directly below `prefix`, and the token of the next page."""
        answer = self._list(prefix, token, Delimiter="/")
        skipped = len(self._prefix) + len(prefix)
        found = [item["Prefix"][skipped:].rstrip("/") for item in answer.get("CommonPrefixes", ())]
        return found, _next(answer)

    def _list(self, prefix: str, token: str | None, **options: str) -> Any:
        more = {"ContinuationToken": token} if token else {}
        return self._ask_bucket(prefix, "list_objects_v2", **options, **more)

    def delete(self, key: str) -> None:
        with contextlib.suppress(NotFound):
            self._ask(key, "delete_object")

    def start_upload(self, key: str, algorithm_name: str) -> str:
        kind = {"ChecksumAlgorithm": algorithm_name.upper(), "ChecksumType": "FULL_OBJECT"}
        answer = self._ask(key, "create_multipart_upload", **({} if self.md5 else kind))
        return str(answer["UploadId"])

    def put_part(
        self,
        key: str,
        upload: str,
        number: int,
        data: memoryview,
        digests: Digests,
        *,
        cancel: Cancel | None,
    ) -> SentPart:
        """Sends part `number` (from 1)."""
        digest = digests.parts[number - 1]
        with _noticing(cancel):
            answer = self._ask(
                key,
                "upload_part",
                UploadId=upload,
                PartNumber=number,
                Body=_Body(data, cancel),
                ContentLength=len(data),
                **self._check(data, digests.algorithm, digest),
            )
        return SentPart(number, len(data), answer["ETag"], None if self.md5 else digest)

    def finish_upload(
        self, key: str, upload: str, parts: Iterable[SentPart], digests: Digests
    ) -> None:
        field = _CHECKSUMS[digests.algorithm]
        listed = [
            {"PartNumber": part.number, "ETag": part.etag}
            | ({field: _base64(part.digest)} if part.digest and not self.md5 else {})
            for part in parts
        ]
        whole = {
            "ChecksumType": "FULL_OBJECT",
            "MpuObjectSize": digests.size,
            field: _base64(digests.whole),
        }
        self._ask(
            key,
            "complete_multipart_upload",
            UploadId=upload,
            MultipartUpload={"Parts": listed},
            **({} if self.md5 else whole),
        )

    def abort_upload(self, key: str, upload: str) -> None:
        self._ask(key, "abort_multipart_upload", UploadId=upload)

    def uploads(self, prefix: str) -> list[OpenUpload]:
        """The multipart uploads of keys that begin with `prefix`, neither completed nor aborted."""
        found: list[OpenUpload] = []
        more: dict[str, str] = {}
        while True:
            answer = self._ask_bucket(prefix, "list_multipart_uploads", **more)
            found += [
                OpenUpload(item["Key"][len(self._prefix) :], item["UploadId"], item["Initiated"])
                for item in answer.get("Uploads", ())
            ]
            if not answer.get("IsTruncated"):
                return found
            more = {
                "KeyMarker": answer["NextKeyMarker"],
                "UploadIdMarker": answer["NextUploadIdMarker"],
            }

    def parts(self, key: str, upload: str, algorithm_name: str) -> list[SentPart]:
        """What the server has of an upload."""
        found: list[SentPart] = []
        more: dict[str, Any] = {}
        field = _CHECKSUMS[algorithm_name]
        while True:
            answer = self._ask(key, "list_parts", UploadId=upload, **more)
            found += [
                SentPart(
                    item["PartNumber"], item["Size"], item["ETag"],
                    _hex(item[field]) if field in item else None,
                )
                for item in answer.get("Parts", ())
            ]  # fmt: skip
            if not answer.get("IsTruncated"):
                return found
            more = {"PartNumberMarker": answer["NextPartNumberMarker"]}

    def _pieces(
        self, key: str, start: int, end: int, size: int, cancel: Cancel | None
    ) -> Iterator[bytes]:
        """The bytes [start, end), in pieces that stay in the processor's cache, all of them.

        `read` allocates each piece, but urllib3's `readinto` does as well, and copies it then.
        """
        with _noticing(cancel), explained(self._name(key)):
            answer = self._ask(key, "get_object", Range=f"bytes={start}-{end - 1}")
            with contextlib.closing(answer["Body"]) as body:  # unread, its connection is no use
                total = str(answer.get("ContentRange", "")).rpartition("/")[2]
                if total.isdigit() and int(total) != size:
                    raise Corrupt(f"{key} has {total} bytes, its manifest says {size}")
                left = end - start
                while left:
                    expect_going_on(cancel)
                    piece: bytes = body.read(min(_SLICE, left))
                    if not piece:  # botocore has compared the length with the header
                        raise Corrupt(f"the server sent {left} of {end - start} bytes too few")
                    yield piece
                    left -= len(piece)

    def _check(self, data: memoryview, algorithm_name: str, digest: str) -> dict[str, str]:
        if self.md5:
            told = hashlib.md5(data, usedforsecurity=False).digest()
            return {"ContentMD5": base64.b64encode(told).decode("ascii")}
        return {_CHECKSUMS[algorithm_name]: _base64(digest)}

    def _ask(self, key: str, operation: str, **parameters: Any) -> Any:
        return self._send(self._name(key), operation, Key=self._prefix + key, **parameters)

    def _ask_bucket(self, prefix: str, operation: str, **parameters: Any) -> Any:
        return self._send(self._name(prefix), operation, Prefix=self._prefix + prefix, **parameters)

    def _send(self, what: str, operation: str, **parameters: Any) -> Any:
        """One request; once more with new credentials if the server says that these expired."""
        client = self._connection.client()
        try:
            with explained(what):
                return getattr(client, operation)(Bucket=self._bucket, **parameters)
        except Expired:
            self._connection.renew(client)
            if isinstance(parameters.get("Body"), _Body):
                parameters["Body"].seek(0)
            with explained(what):
                return getattr(self._connection.client(), operation)(
                    Bucket=self._bucket, **parameters
                )

    def _expect_bucket(self) -> None:
        try:
            self._send(self._bucket, "head_bucket")
        except NotFound as error:
            raise Misconfigured(
                f"the bucket {self._bucket} does not exist: create it, or correct "
                "checkpoint.store.s3.bucket"
            ) from error

    def _name(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{key}"


def _next(answer: Any) -> str | None:
    return answer.get("NextContinuationToken") if answer.get("IsTruncated") else None


def _date(answer: Any) -> datetime | None:
    """The Date header, which a server with a clock must send (RFC 9110, 6.6.1)."""
    text = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(text) if text else None


class _Body:
    """A file-like look at memory that hands out 1 MiB views.

    urllib3 asks for 16 KiB at a time and copies; it sends whatever `read` returns, so larger views
    cost one system call each and no copy.
    """

    def __init__(self, data: memoryview, cancel: Cancel | None) -> None:
        self._data = data
        self._cancel = cancel
        self._at = 0

    def __len__(self) -> int:
        return len(self._data)

    def read(self, size: int = -1) -> memoryview | bytes:  # noqa: ARG002 - see the class
        expect_going_on(self._cancel)
        piece = self._data[self._at : self._at + _SLICE]
        self._at += len(piece)
        return piece or b""

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, len(self._data))[whence]
        return self._at

    def tell(self) -> int:
        return self._at


@contextlib.contextmanager
def _noticing(cancel: Cancel | None) -> Iterator[None]:
    """botocore wraps whatever is raised while it sends: a wish to give up is recognised again."""
    try:
        yield
    except StoreError:
        expect_going_on(cancel)
        raise


def _base64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode("ascii")


def _hex(checksum: str) -> str:
    return base64.b64decode(checksum).hex()
