"""The server's refusals, told apart."""

from typing import Any

import pytest
from spot_operator.control import errors


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (400, {}, errors.BadRequest),
        (401, {}, errors.Unauthorized),
        (403, {}, errors.Forbidden),
        (403, {"message": "pods is forbidden: exceeded quota: q"}, errors.QuotaExceeded),
        (
            403,
            {"details": {"causes": [{"reason": "NamespaceTerminating"}]}},
            errors.NamespaceTerminating,
        ),
        (404, {}, errors.NotFound),
        (405, {}, errors.ApiError),
        (409, {"reason": "AlreadyExists"}, errors.AlreadyExists),
        (409, {"reason": "Conflict"}, errors.Conflict),
        (409, {}, errors.Conflict),
        (410, {}, errors.Gone),
        (422, {}, errors.Invalid),
        (429, {}, errors.TooManyRequests),
        (500, {}, errors.Unavailable),
        (503, {}, errors.Unavailable),
        (504, {}, errors.Unavailable),
    ],
)
def test_each_answer_has_its_class(
    code: int, status: dict[str, Any], kind: type[errors.ApiError]
) -> None:
    error = errors.from_status(code, status)
    assert type(error) is kind
    assert error.status == code


def test_an_error_reads_as_code_reason_and_sentence() -> None:
    error = errors.from_status(409, {"reason": "Conflict", "message": "it changed"})
    assert str(error) == "409 Conflict: it changed"


def test_the_wait_comes_from_the_header_or_else_from_the_body() -> None:
    body = {"details": {"retryAfterSeconds": 3}}
    assert errors.from_status(429, body).retry_after == 3
    assert errors.from_status(429, body, retry_after=7.0).retry_after == 7
    assert errors.from_status(503, {}).retry_after is None


def test_of_a_message_that_quotes_a_huge_value_begin_and_end_are_kept() -> None:
    """Whoever may create a job can have one of a megabyte."""
    quoted = f'env[0].name: Invalid value: "{"pod tolerations " * 10**5}": a name has no blanks'
    error = errors.from_status(422, {"message": quoted})
    assert len(error.message) == errors.MAX_MESSAGE
    assert error.message.startswith('env[0].name: Invalid value: "pod')
    assert error.message.endswith('": a name has no blanks')


def test_an_answer_without_a_status_still_says_something() -> None:
    assert "502" in str(errors.from_status(502, {}))
