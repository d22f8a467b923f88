"""Where a lineage lies, and how its bytes are damaged there.

`bucket-rot`: on the disk below a real S3 server, which keeps the checksums of before.
`bucket-api`: through the server, which keeps checksums of the damaged bytes.
`volume`: in a directory that is mounted.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from campaigns.oracle import Bucket
from kit.sidecar import BUCKET, JOB, VOLUME_PATH
from kit.stores import ACCESS, SECRET, S3Server
from spot_training.checkpoint import keys
from spot_training.checkpoint.store import Store
from spot_training.checkpoint.stores.directory import DirectoryStore
from spot_training.checkpoint.stores.s3 import S3Store

ROT, API, VOLUME = "bucket-rot", "bucket-api", "volume"
PLACES = (ROT, API, VOLUME)


@dataclass(slots=True)
class Place:
    """One job's lineage in one kind of store."""

    kind: str
    uid: str
    server: S3Server
    mount: Path
    _client: Any = field(default=None, repr=False)

    @property
    def lineage(self) -> str:
        top = VOLUME_PATH if self.kind == VOLUME else ""
        return keys.lineage_prefix(top, JOB["namespace"], JOB["name"], self.uid)

    @property
    def root(self) -> Path:
        """The lineage's folder on the disk."""
        return (self.mount if self.kind == VOLUME else self.server.data / BUCKET) / self.lineage

    @property
    def seen(self) -> Bucket:
        """The oracle's view, as of now."""
        return Bucket(self.root)

    def store(self) -> Store:
        """The same by the product's code: for playing zombies and committers."""
        if self.kind == VOLUME:
            return DirectoryStore.prepare(self.root)
        return S3Store(self.server.settings(BUCKET, self.lineage))

    def pod_options(self) -> dict[str, Any]:
        """For `a_pod`."""
        where: dict[str, Any] = (
            {"volume": self.mount} if self.kind == VOLUME else {"s3": self.server}
        )
        return {**where, "job": {**JOB, "uid": self.uid}}

    def put(self, path: Path, body: bytes) -> None:
        """Bytes in the place of those that are there."""
        if self.kind == API:
            self._s3().put_object(
                Bucket=BUCKET, Key=self._key(path), Body=body, ChecksumAlgorithm="CRC64NVME"
            )
            return
        draft = path.with_name(f"{path.name}.damaged")  # what was recorded has links elsewhere
        draft.write_bytes(body)
        shutil.copystat(path, draft)
        draft.replace(path)

    def delete(self, path: Path) -> None:
        if self.kind == API:
            self._s3().delete_object(Bucket=BUCKET, Key=self._key(path))
        else:
            path.unlink()

    def copy_from(self, recorded: Path) -> None:
        """A lineage as it was recorded; files are links, for nothing is written over."""
        shutil.copytree(recorded, self.root, copy_function=os.link)

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def _key(self, path: Path) -> str:
        return str(path.relative_to(self.server.data / BUCKET))

    def _s3(self) -> Any:
        if self._client is None:
            self._client = boto3.client(
                "s3", endpoint_url=self.server.url, region_name="us-east-1",
                aws_access_key_id=ACCESS, aws_secret_access_key=SECRET,
            )  # fmt: skip
        return self._client
