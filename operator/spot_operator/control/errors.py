"""What can go wrong between a controller and its API server.

    ControlError
    ├── NotLeader                 refused here, before anything was sent
    └── ApiError                  .status .reason .message .details
        ├── BadRequest            400  we sent nonsense; retrying cannot help
        ├── Unauthorized          401  who we are was not accepted; nothing was done
        ├── Forbidden             403  we may not
        │   ├── QuotaExceeded          a resource quota is used up; later it may work
        │   └── NamespaceTerminating   nothing new can be created there any more
        ├── NotFound              404
        ├── AlreadyExists         409  the name is taken
        ├── Conflict              409  the object changed, or a precondition does not hold
        ├── Gone                  410  that resourceVersion or page token is too old: list again
        ├── Invalid               422  the object was refused; the message says which field
        ├── TooManyRequests       429  nothing was done; .retry_after seconds, if the server said
        └── Unavailable           5xx, timeouts, broken connections; .retry_after as above.
                                  A write that raises this may nevertheless have been done.

`from_status` is the one place that turns an answer of the server into one of these.
"""

# ruff: noqa: N818 - these are the server's own words for its refusals; "Error" would add nothing

from collections.abc import Mapping
from typing import Any, Final

__all__ = [
    "AlreadyExists",
    "ApiError",
    "BadRequest",
    "Conflict",
    "ControlError",
    "Forbidden",
    "Gone",
    "Invalid",
    "NamespaceTerminating",
    "NotFound",
    "NotLeader",
    "QuotaExceeded",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "from_status",
]


class ControlError(Exception):
    """Anything this package raises on purpose."""


class NotLeader(ControlError):
    """A write was refused because this process does not lead, or cannot prove that it does."""


class ApiError(ControlError):
    """The API server said no.

    `status` is the HTTP code (0: no answer came), `reason` Kubernetes' CamelCase word for it,
    `message` the sentence for people, `details` the Status object's details (may be empty).
    """

    default_status = 0
    default_reason = ""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        reason: str | None = None,
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = self.default_status if status is None else status
        self.reason = self.default_reason if reason is None else reason
        self.details: Mapping[str, Any] = details or {}
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.status} {self.reason}: {self.message}"


class BadRequest(ApiError):
    default_status, default_reason = 400, "BadRequest"


class Unauthorized(ApiError):
    default_status, default_reason = 401, "Unauthorized"


class Forbidden(ApiError):
    default_status, default_reason = 403, "Forbidden"


class QuotaExceeded(Forbidden):
    """Told from other refusals by its wording alone: the server has no reason of its own."""


class NamespaceTerminating(Forbidden):
    """Told from other refusals by the cause `NamespaceTerminating`."""


class NotFound(ApiError):
    default_status, default_reason = 404, "NotFound"


class AlreadyExists(ApiError):
    default_status, default_reason = 409, "AlreadyExists"


class Conflict(ApiError):
    default_status, default_reason = 409, "Conflict"


class Gone(ApiError):
    default_status, default_reason = 410, "Expired"


class Invalid(ApiError):
    default_status, default_reason = 422, "Invalid"


class TooManyRequests(ApiError):
    default_status, default_reason = 429, "TooManyRequests"


class Unavailable(ApiError):
    default_status, default_reason = 503, "ServiceUnavailable"

    @property
    def refused(self) -> bool:
        """Whether the answer proves that nothing was done: admission comes before the store."""
        return "failed calling webhook" in self.message


MAX_MESSAGE: Final = 4096
"""Characters of what a server says: it is searched, logged and kept."""
TAIL: Final = 1024
"""Of them the last ones of a longer one, where the objection stands."""

_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    404: NotFound,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def from_status(
    code: int, status: Mapping[str, Any], *, retry_after: float | None = None
) -> ApiError:
    """Build the error for HTTP `code` and the `Status` object that came with it.

    `status` may be empty (a proxy answered); an unknown code below 500 is a plain `ApiError`.
    """
    details = status.get("details") or {}
    return _class_for(code, status, details)(
        _bounded(status.get("message") or f"the server answered {code}"),
        status=code,
        reason=status.get("reason") or None,
        details=details,
        # A timeout of the server's own carries its wait in the body, not in a header.
        retry_after=retry_after if retry_after is not None else _seconds(details),
    )


def _seconds(details: Mapping[str, Any]) -> float | None:
    asked = details.get("retryAfterSeconds")
    return asked if isinstance(asked, int | float) else None


def _bounded(message: str) -> str:
    """Its start and its end: a server quotes a refused value in full, even a megabyte."""
    if len(message) <= MAX_MESSAGE:
        return message
    return f"{message[: -TAIL - 3 + MAX_MESSAGE]} … {message[-TAIL:]}"


def _class_for(code: int, status: Mapping[str, Any], details: Mapping[str, Any]) -> type[ApiError]:
    if code == 409:
        return AlreadyExists if status.get("reason") == "AlreadyExists" else Conflict
    if code == 403:
        return _forbidden(status, details)
    if code >= 500 or code == 0:
        return Unavailable
    return _BY_STATUS.get(code, ApiError)


def _forbidden(status: Mapping[str, Any], details: Mapping[str, Any]) -> type[ApiError]:
    causes = {cause.get("reason") for cause in details.get("causes") or ()}
    # A webhook may pass on the answer to a call of its own, about whatever namespace.
    own = "admission webhook" not in (status.get("message") or "")
    if own and "NamespaceTerminating" in causes:
        return NamespaceTerminating
    if "exceeded quota" in (status.get("message") or ""):
        return QuotaExceeded
    return Forbidden
