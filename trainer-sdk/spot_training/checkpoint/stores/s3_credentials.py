"""Credentials from a mounted Secret, and from nowhere else: no metadata service is ever asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_TRIES = 3


def resolver(folder: Path) -> Any:
    """A botocore credential resolver over the files of a Secret."""
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
    """The files of one version of the Secret; a version that goes meanwhile is read again."""
    for attempt in range(_TRIES):
        try:
            return _version(_current(folder))
        except (OSError, ValueError) as error:
            if attempt == _TRIES - 1:
                raise failure(provider="spot-directory", error_msg=str(error)) from error
    raise AssertionError("unreachable")


def _current(folder: Path) -> Path:
    """The kubelet keeps each version of a Secret in a folder of its own, and `..data` points to it:
    key and secret read through the link could be of two versions.
    """
    link = folder / "..data"
    return link.resolve() if link.exists() else folder


def _version(folder: Path) -> tuple[str, str, str | None]:
    key = (folder / "AWS_ACCESS_KEY_ID").read_text("ascii").strip()
    secret = (folder / "AWS_SECRET_ACCESS_KEY").read_text("ascii").strip()
    token = folder / "AWS_SESSION_TOKEN"
    return key, secret, (token.read_text("ascii").strip() or None) if token.exists() else None
