"""One S3 request per method, in the words of `checkpoint.store`; nothing is tried twice here."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from spot_training.checkpoint.digest import Digests
from spot_training.checkpoint.retry import expect_going_on
from spot_training.checkpoint.store import (
    Cancel,
    Corrupt,
    Misconfigured,
    NotFound,
    Stat,
    StoreError,
)
from spot_training.checkpoint.stores.s3_errors import explained

_CHECKSUMS = {"crc64nvme": "ChecksumCRC64NVME", "crc32": "ChecksumCRC32"}
_SLICE = 1 << 20  # bytes between two looks at the cancel event


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing: (key, last modified), the next page's token, the server's own time."""

    entries: tuple[tuple[str, datetime], ...]
    token: str | None
    date: datetime | None


class Calls:
    """Requests about keys below one prefix of one bucket."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    def put(self, key: str, body: bytes, *, only_new: bool = False) -> None:
        """Writes a document; with `only_new` raises Precondition if the key exists."""
        condition = {"IfNoneMatch": "*"} if only_new else {}
        with explained(self._name(key)):
            self._client.put_object(**self._at(key), Body=body, **condition)

    def put_data(self, key: str, data: memoryview, digests: Digests, cancel: Cancel | None) -> None:
        """Writes an object of one part; the server checks its digest."""
        with _noticing(cancel), explained(self._name(key)):
            self._client.put_object(
                **self._at(key),
                Body=_Body(data, cancel),
                ContentLength=len(data),
                **_checksum(digests.algorithm, digests.whole),
            )

    def get(self, key: str) -> bytes:
        with explained(self._name(key)):
            body: bytes = self._client.get_object(**self._at(key))["Body"].read()
            return body

    def get_some(self, key: str, start: int, size: int) -> bytes:
        """Up to `size` bytes from byte `start`, fewer where the object ends."""
        end = start + size - 1
        with explained(self._name(key)):
            answer = self._client.get_object(**self._at(key), Range=f"bytes={start}-{end}")
            body: bytes = answer["Body"].read()
            return body

    def get_range(
        self, key: str, start: int, into: memoryview, size: int, cancel: Cancel | None
    ) -> None:
        """Fills `into` from byte `start`; raises Corrupt if the object has another size."""
        end = start + len(into) - 1
        with _noticing(cancel), explained(self._name(key)):
            answer = self._client.get_object(**self._at(key), Range=f"bytes={start}-{end}")
            with contextlib.closing(answer["Body"]) as body:  # unread, its connection is no use
                total = str(answer.get("ContentRange", "")).rpartition("/")[2]
                if total.isdigit() and int(total) != size:
                    raise Corrupt(f"{key} has {total} bytes, its manifest says {size}")
                _read_into(body, into, cancel)

    def head(self, key: str) -> Stat:
        try:
            with explained(self._name(key)):
                answer = self._client.head_object(**self._at(key), ChecksumMode="ENABLED")
        except NotFound:
            self._expect_bucket()  # a HEAD has no body to say which of the two is missing
            raise
        for name, field in _CHECKSUMS.items():
            if field in answer and answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
                return Stat(answer["ContentLength"], name, _hex(answer[field]))
        return Stat(answer["ContentLength"])

    def page(self, prefix: str, token: str | None) -> Page:
        """Up to 1000 keys below `prefix`, and the token of the next page."""
        answer = self._list(prefix, token)
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
        with explained(self._name(prefix)):
            return self._client.list_objects_v2(
                Bucket=self._bucket, Prefix=self._prefix + prefix, **options, **more
            )

    def delete(self, key: str) -> None:
        with explained(self._name(key)), contextlib.suppress(NotFound):
            self._client.delete_object(**self._at(key))

    def start_upload(self, key: str, algorithm: str) -> str:
        with explained(self._name(key)):
            answer = self._client.create_multipart_upload(
                **self._at(key), ChecksumAlgorithm=algorithm.upper(), ChecksumType="FULL_OBJECT"
            )
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
    ) -> dict[str, Any]:
        """Sends part `number` (from 1); returns what `finish_upload` needs of it."""
        checksum = _checksum(digests.algorithm, digests.parts[number - 1])
        with _noticing(cancel), explained(self._name(key)):
            answer = self._client.upload_part(
                **self._at(key),
                UploadId=upload,
                PartNumber=number,
                Body=_Body(data, cancel),
                ContentLength=len(data),
                **checksum,
            )
        return {"PartNumber": number, "ETag": answer["ETag"], **checksum}

    def finish_upload(
        self, key: str, upload: str, parts: list[dict[str, Any]], digests: Digests
    ) -> None:
        with explained(self._name(key)):
            self._client.complete_multipart_upload(
                **self._at(key),
                UploadId=upload,
                MultipartUpload={"Parts": parts},
                ChecksumType="FULL_OBJECT",
                MpuObjectSize=digests.size,
                **_checksum(digests.algorithm, digests.whole),
            )

    def abort_upload(self, key: str, upload: str) -> None:
        with explained(self._name(key)):
            self._client.abort_multipart_upload(**self._at(key), UploadId=upload)

    def _expect_bucket(self) -> None:
        try:
            with explained(self._bucket):
                self._client.head_bucket(Bucket=self._bucket)
        except NotFound as error:
            raise Misconfigured(
                f"the bucket {self._bucket} does not exist: create it, or correct "
                "checkpoint.store.s3.bucket"
            ) from error

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

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


def _read_into(body: Any, into: memoryview, cancel: Cancel | None) -> None:
    done = 0
    while done < len(into):
        expect_going_on(cancel)
        count = body.readinto(into[done : done + _SLICE])
        if count == 0:
            break  # botocore has compared the length with the header: the range itself is short
        done += count
    if done != len(into):
        raise Corrupt(f"the server sent {done} of {len(into)} bytes")


@contextlib.contextmanager
def _noticing(cancel: Cancel | None) -> Iterator[None]:
    """botocore wraps whatever is raised while it sends: a wish to give up is recognised again."""
    try:
        yield
    except StoreError:
        expect_going_on(cancel)
        raise


def _checksum(algorithm: str, digest: str) -> dict[str, str]:
    return {_CHECKSUMS[algorithm]: base64.b64encode(bytes.fromhex(digest)).decode("ascii")}


def _hex(checksum: str) -> str:
    return base64.b64decode(checksum).hex()
