"""The cluster's object store: versitygw over a directory of the cluster."""

from __future__ import annotations

import secrets
import urllib.error
import urllib.request
from dataclasses import dataclass

from .addresses import S3_PORT
from .commands import program, run, until
from .records import Record

BUCKET = "checkpoints"
REGION = "us-east-1"


@dataclass(frozen=True)
class S3:
    """How to reach the store, from this host and from pods alike. Path-style addressing."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str = BUCKET
    region: str = REGION


def new_keys() -> tuple[str, str]:
    """An access key and its secret, for one cluster."""
    return secrets.token_hex(10).upper(), secrets.token_urlsafe(30)


def store_of(record: Record) -> S3:
    endpoint = f"http://{record.api_address}:{S3_PORT}"
    return S3(endpoint, record.access_key, record.secret_key)


def await_store(store: S3, within: float = 20) -> None:
    """Wait until the store answers, be it with a refusal."""
    until("the object store", lambda: _answers(store), within=within)


def _answers(store: S3) -> bool:
    try:
        urllib.request.urlopen(store.endpoint, timeout=2).close()  # noqa: S310 (our own server)
    except urllib.error.HTTPError as refusal:
        refusal.close()
    except OSError:
        return False
    return True


def create_bucket(store: S3) -> None:
    """Make the bucket of a new store."""
    admin = (program("versitygw"), "admin", "--endpoint-url", store.endpoint)
    keys = {"ADMIN_ACCESS_KEY": store.access_key, "ADMIN_SECRET_KEY": store.secret_key}
    named = ("--owner", store.access_key, "--bucket", store.bucket)
    run(*admin, "create-bucket", *named, env=keys)
