"""Looking into the object store from outside, as a person with the bucket's keys would."""

from __future__ import annotations

import json
from typing import Any

import boto3
from botocore.config import Config
from safetensors.numpy import load

Object = dict[str, Any]


class Bucket:
    """One bucket; a lineage is `<prefix>/<namespace>/<name>/<uid>/`."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str, name: str) -> None:
        self.name = name
        self._client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(s3={"addressing_style": "path"}),
        )

    def keys(self, prefix: str) -> list[str]:
        """Every key below the prefix, sorted."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=prefix
        )
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))

    def read(self, key: str) -> bytes:
        """The object's bytes."""
        body: bytes = self._client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body

    def manifests(self, lineage: str) -> list[Object]:
        """The lineage's checkpoints, newest first."""
        return [json.loads(self.read(key)) for key in self.keys(f"{lineage}commits/")]

    def tensors(self, lineage: str, manifest: Object) -> Object:
        """What the checkpoint holds, read by the ordinary safetensors library."""
        arrays: Object = {}
        for entry in manifest["objects"]:
            arrays.update(load(self.read(lineage + entry["key"])))
        return arrays

    def flip_bit(self, key: str) -> None:
        """Change one bit in the middle of the object, as failing memory or a bad disk does."""
        body = bytearray(self.read(key))
        body[len(body) // 2] ^= 0x10
        self._client.put_object(Bucket=self.name, Key=key, Body=bytes(body))

    def wipe(self, prefix: str) -> int:
        """Delete everything below the prefix; returns how many objects went."""
        keys = self.keys(prefix)
        for key in keys:
            self._client.delete_object(Bucket=self.name, Key=key)
        return len(keys)
