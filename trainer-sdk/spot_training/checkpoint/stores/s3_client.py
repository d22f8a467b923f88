"""The boto3 client of a lineage: settings that hold for every S3-compatible server.

`preferred_transfer_client` never comes in: the low-level calls are used, because boto3's CRT switch
ignores endpoint_url (boto/boto3#4839). Payloads are unsigned (our own checksum header protects
them), else botocore hashes every byte with SHA-256 over plain http; a store that refuses that gets
them signed (see `S3Store.probe`).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from spot_training.checkpoint.store import Misconfigured
from spot_training.checkpoint.stores.s3_credentials import resolver

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
_SIGNER = "spot-s3v4"

Addressing = Literal["auto", "path", "virtual"]


@dataclass(frozen=True, slots=True)
class S3Settings:
    """Where a lineage lives. `prefix` ends with a slash (see keys.lineage_prefix).

    `credentials_dir` holds the files AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and optionally
    AWS_SESSION_TOKEN, read for every request; None uses botocore's own chain (environment, web
    identity, container credentials, instance metadata). `ca_file` (PEM) replaces the system's
    authorities; a change of it is noticed. `addressing` says whether the bucket is in the path or
    in the host name; auto: in the path exactly where there is an endpoint of one's own.
    """

    bucket: str
    prefix: str
    endpoint_url: str | None = None
    region: str | None = None
    credentials_dir: Path | None = None
    ca_file: Path | None = None
    addressing: Addressing = "auto"
    connections: int = 8
    connect_seconds: float = CONNECT_SECONDS
    read_seconds: float = READ_SECONDS


class Connection:
    """The client in use, made anew when its credentials have expired or its authority changed."""

    def __init__(self, settings: S3Settings) -> None:
        """Contacts nobody. Raises Misconfigured if a setting or a file cannot be used."""
        self.settings = settings
        self._signed = False
        self._lock = threading.Lock()
        self._authority = _authority(settings)
        self._client = connect(settings)

    def client(self) -> Any:
        """A client that trusts what `ca_file` says now."""
        if self.settings.ca_file is not None:
            authority = _authority(self.settings)
            with self._lock:
                if authority != self._authority:
                    self._client = connect(self.settings, signed=self._signed)
                    self._authority = authority
        return self._client

    def renew(self, seen: Any) -> None:
        """Asks for credentials anew, unless somebody has since `seen` was the client."""
        with self._lock:
            if self._client is seen:
                self._client = connect(self.settings, signed=self._signed)

    def sign_payloads(self, *, signed: bool) -> None:
        """Whether each body is hashed with SHA-256 for its signature."""
        with self._lock:
            self._signed = signed
            self._client = connect(self.settings, signed=signed)


def connect(settings: S3Settings, *, signed: bool = False) -> Any:
    """A thread-safe boto3 S3 client; contacts nobody."""
    import boto3  # noqa: PLC0415 - optional, and slow to import
    import botocore.session  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    core = botocore.session.Session()
    if settings.credentials_dir is not None:
        core.register_component("credential_provider", resolver(settings.credentials_dir))
    config = Config(
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"payload_signing_enabled": signed, "addressing_style": _addressing(settings)},
        retries={"total_max_attempts": 1, "mode": "standard"},  # ours are per part and jittered
        max_pool_connections=settings.connections + 2,
        connect_timeout=settings.connect_seconds,
        read_timeout=settings.read_seconds,
        tcp_keepalive=True,
    )
    client = boto3.Session(botocore_session=core).client(
        "s3",
        endpoint_url=settings.endpoint_url,
        region_name=settings.region or core.get_config_variable("region") or "us-east-1",
        verify=str(settings.ca_file) if settings.ca_file else None,
        config=config,
    )
    _sign_in_python(client)
    return client


def _sign_in_python(client: Any) -> None:
    """Keeps awscrt out of signing.

    With awscrt installed botocore signs through it, and it reads the body as its own stream type:
    seen to fail now and then with AWS_ERROR_INVALID_ARGUMENT for bodies that are views of memory.
    """
    from botocore.auth import AUTH_TYPE_MAPS, S3SigV4Auth  # noqa: PLC0415

    AUTH_TYPE_MAPS.setdefault(_SIGNER, S3SigV4Auth)
    client.meta.events.register_first("choose-signer.s3", lambda **_: _SIGNER)


def _addressing(settings: S3Settings) -> str:
    """Few servers behind a custom endpoint have a DNS name per bucket."""
    if settings.addressing != "auto":
        return settings.addressing
    return "path" if settings.endpoint_url else "auto"


def _authority(settings: S3Settings) -> bytes:
    if settings.ca_file is None:
        return b""
    try:
        found = settings.ca_file.read_bytes()
    except OSError as error:
        raise Misconfigured(
            f"the authority's certificate cannot be read ({error}); look at "
            "checkpoint.store.s3.caBundle"
        ) from error
    if b"-----BEGIN CERTIFICATE-----" not in found:
        raise Misconfigured(
            f"{settings.ca_file} holds no PEM certificate; look at the key that "
            "checkpoint.store.s3.caBundle names"
        )
    return found
