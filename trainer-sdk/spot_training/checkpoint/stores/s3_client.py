"""The boto3 client of a lineage: settings that hold for every S3-compatible server.

`preferred_transfer_client` never comes in: the low-level calls are used, because boto3's CRT switch
ignores endpoint_url (boto/boto3#4839). Payloads are unsigned (our own CRC64NVME header protects
them), else botocore hashes every byte with SHA-256 over plain http.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONNECT_SECONDS = 5
READ_SECONDS = 30
_SIGNER = "spot-s3v4"


@dataclass(frozen=True, slots=True)
class S3Settings:
    """Where a lineage lives. `prefix` ends with a slash (see keys.lineage_prefix).

    `credentials_dir` holds the files AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and optionally
    AWS_SESSION_TOKEN, re-read whenever they change; None uses botocore's own chain (pod identity,
    environment).
    """

    bucket: str
    prefix: str
    endpoint_url: str | None = None
    region: str | None = None
    credentials_dir: Path | None = None
    connections: int = 8


def connect(settings: S3Settings) -> Any:
    """A thread-safe boto3 S3 client; contacts nobody."""
    import boto3  # noqa: PLC0415 - optional, and slow to import
    import botocore.session  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    core = botocore.session.Session()
    if settings.credentials_dir is not None:
        core.register_component("credential_provider", _resolver(settings.credentials_dir))
    config = Config(
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"payload_signing_enabled": False, "addressing_style": _addressing(settings)},
        retries={"total_max_attempts": 1, "mode": "standard"},  # ours are per part and jittered
        max_pool_connections=settings.connections + 2,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        tcp_keepalive=True,
    )
    client = boto3.Session(botocore_session=core).client(
        "s3",
        endpoint_url=settings.endpoint_url,
        region_name=settings.region or core.get_config_variable("region") or "us-east-1",
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
    return "path" if settings.endpoint_url else "auto"


def _resolver(folder: Path) -> Any:
    from botocore.credentials import CredentialProvider, CredentialResolver  # noqa: PLC0415

    class FromDirectory(CredentialProvider):  # type: ignore[misc]  # botocore is untyped
        METHOD = "spot-directory"

        def load(self) -> Any:
            return _credentials(folder)

    return CredentialResolver([FromDirectory()])


def _credentials(folder: Path) -> Any:
    from botocore.credentials import Credentials, ReadOnlyCredentials  # noqa: PLC0415
    from botocore.exceptions import CredentialRetrievalError  # noqa: PLC0415

    class DirectoryCredentials(Credentials):  # type: ignore[misc]  # botocore is untyped
        """Read for every request: a rotated Secret works from the next request on."""

        def get_frozen_credentials(self) -> Any:
            return ReadOnlyCredentials(*_read(folder, CredentialRetrievalError))

    return DirectoryCredentials(*_read(folder, CredentialRetrievalError), method="spot-directory")


def _read(folder: Path, failure: Any) -> tuple[str, str, str | None]:
    try:
        key = (folder / "AWS_ACCESS_KEY_ID").read_text("ascii").strip()
        secret = (folder / "AWS_SECRET_ACCESS_KEY").read_text("ascii").strip()
        token = folder / "AWS_SESSION_TOKEN"
        return key, secret, token.read_text("ascii").strip() if token.exists() else None
    except (OSError, ValueError) as error:
        raise failure(provider="spot-directory", error_msg=str(error)) from error
