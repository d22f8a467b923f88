"""What botocore raises, in the words of `checkpoint.store`.

Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html. Whatever is not known to
speak about the key, the credentials or the settings counts as trouble on the way: no evidence.
"""

# ruff: noqa: N818 - errors are named for what happened
from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from spot_training.checkpoint.store import (
    Corrupt,
    Denied,
    Misconfigured,
    NotFound,
    StoreError,
    Unreachable,
)


class Precondition(StoreError):
    """If-None-Match: the key exists (412, or 304 from some servers)."""


class NotImplementedThere(Misconfigured):
    """The server does not know a header or operation."""


class NoSuchUpload(StoreError):
    """The multipart upload is gone: completed by a lost answer, or aborted."""


_MISSING = {"NoSuchKey", "404", "NotFound"}
_SETTINGS = {
    "NoSuchBucket": "the bucket does not exist: create it, or correct checkpoint.store.s3.bucket",
    "InvalidBucketName": "correct checkpoint.store.s3.bucket",
    "PermanentRedirect": "the bucket is in another region: set checkpoint.store.s3.region",
    "301": "the bucket is in another region: set checkpoint.store.s3.region",
    "AuthorizationHeaderMalformed": "set checkpoint.store.s3.region to the bucket's region",
}
_CREDENTIALS = {
    "AccessDenied", "AllAccessDisabled", "InvalidAccessKeyId", "SignatureDoesNotMatch",
    "ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired",
    "RequestTimeTooSkewed", "XAdminUserNotFound", "AccountProblem",
    "InvalidSecurity", "NotSignedUp", "401", "403",
}  # fmt: skip
_DIGEST = {"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"}


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Translates every botocore error raised inside; `what` names the bucket and the key."""
    try:
        yield
    except ClientError as error:
        raise _by_code(error.response, what) from error
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as error:
        raise Denied(
            f"{what}: no credentials ({error}); set checkpoint.store.s3.credentialsSecretName "
            "or give the pods' service account an identity"
        ) from error
    except ParamValidationError as error:
        raise Misconfigured(f"{what}: {error}") from error
    except BotoCoreError as error:
        raise Unreachable(f"{what}: {error}") from error


def _by_code(response: Any, what: str) -> StoreError:
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = f"{what}: {code} {response.get('Error', {}).get('Message', '')}".rstrip()
    if code in _SETTINGS:
        return Misconfigured(f"{said}; {_SETTINGS[code]}")
    if code in _MISSING:
        return NotFound(said)
    if code in _CREDENTIALS:
        return Denied(f"{said}; check the credentials and what they permit on the bucket")
    if code in _DIGEST:
        return Corrupt(f"{said}; the server received other bytes than were digested")
    if code == "NoSuchUpload":
        return NoSuchUpload(said)
    return _by_status(status, said)


def _by_status(status: int, said: str) -> StoreError:
    if status in (304, 412):
        return Precondition(said)
    if status in (405, 501):
        return NotImplementedThere(said)
    if status == 416:
        return Corrupt(f"{said}; the object is shorter than its manifest says")
    if status == 403:
        return Denied(said)
    return Unreachable(said)
