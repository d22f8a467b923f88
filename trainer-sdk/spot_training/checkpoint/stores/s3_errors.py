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
    SSLError,
)
from urllib3.exceptions import HTTPError

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


class PartsLost(StoreError):
    """The server does not know parts that it was sent."""


class Expired(Denied):
    """The credentials were good and are not any more: newer ones may be there."""


class Refused(Misconfigured):
    """The server does not take the request as it is (4xx); says nothing about the key."""


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
    "InvalidToken", "RequestTimeTooSkewed", "XAdminUserNotFound", "AccountProblem",
    "InvalidSecurity", "NotSignedUp", "401", "403",
}  # fmt: skip
_EXPIRED = {
    "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired",
    "400",  # a HEAD has no body that could say so
}  # fmt: skip
_LOST_PARTS = {"InvalidPart", "InvalidPartOrder"}
_AGAIN = {408, 409, 425, 429}
_BUSY = {"RequestTimeout", "IncompleteBody", "SlowDown", "OperationAborted", "Throttling"}
_DIGEST = {"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"}


_MEANINGS: tuple[tuple[set[str], type[StoreError], str], ...] = (
    (_MISSING, NotFound, ""),
    (_EXPIRED, Expired, "; rotate the keys in the Secret, or look at the pod's identity"),
    (_CREDENTIALS, Denied, "; check the credentials and what they permit on the bucket"),
    (_DIGEST, Corrupt, "; the server received other bytes than were digested"),
    ({"NoSuchUpload"}, NoSuchUpload, ""),
    (_LOST_PARTS, PartsLost, ""),
    (_BUSY, Unreachable, ""),
)


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
    except SSLError as error:
        raise _untrusted(what, error) from error
    except (BotoCoreError, HTTPError, OSError) as error:
        raise Unreachable(f"{what}: {error}") from error


def _by_code(response: Any, what: str) -> StoreError:
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = f"{what}: {code} {response.get('Error', {}).get('Message', '')}".rstrip()
    if code in _SETTINGS:
        return Misconfigured(f"{said}; {_SETTINGS[code]}")
    for codes, kind, remedy in _MEANINGS:
        if code in codes:
            return kind(said + remedy)
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
    if 400 <= status < 500 and status not in _AGAIN:
        return Refused(said)
    return Unreachable(said)


def _untrusted(what: str, error: SSLError) -> StoreError:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Misconfigured(
            f"{what}: {error}; if a private authority signs the store's certificate, name the "
            "Secret or ConfigMap that holds it in checkpoint.store.s3.caBundle"
        )
    return Unreachable(f"{what}: {error}")
