"""The bodies and queries that the trainer's processes send, checked before anything is done."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from aiohttp import web
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

__all__ = [
    "Acquire",
    "Allocate",
    "Busy",
    "Complete",
    "Flush",
    "InvalidRequestError",
    "Register",
    "Resume",
    "Resumed",
    "Say",
    "Submit",
    "Waiting",
    "read_body",
    "read_query",
]

LONGEST_WAIT = 60.0
"""Seconds a long poll may ask for."""
DEFAULT_WAIT = 20.0

Body = TypeVar("Body", bound="Request")
Process = Annotated[int, Field(ge=0, lt=10**5)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Wait = Annotated[float, Field(ge=0, le=LONGEST_WAIT)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Reason = Literal["periodic", "notice", "final", "manual"]


class InvalidRequestError(Exception):
    """The request is not what it should be; the message names the fields."""


class Request(BaseModel):
    """JSON in camelCase; unknown fields are a newer SDK's and left alone."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, extra="ignore")


class Register(Request):
    """GET /v1/session."""

    process: Process
    pid: int = 0


class Resume(Request):
    """POST /v1/resume."""

    process: Process
    wait: Wait = DEFAULT_WAIT
    container: Annotated[str, Field(max_length=256)] = ""
    """The process's container in its run; empty: not known."""


class Resumed(Request):
    """POST /v1/resumed."""

    process: Process
    step: Count
    verified: bool
    differs: list[str] = Field(default_factory=list)
    seconds: Seconds = 0.0


class Allocate(Request):
    """POST /v1/arenas."""

    process: Process
    bytes: Annotated[int, Field(gt=0, lt=2**50)]


class Acquire(Request):
    """POST /v1/arenas/acquire."""

    process: Process
    reason: Reason
    wait: Wait = DEFAULT_WAIT


class Submit(Request):
    """POST /v1/snapshots."""

    process: Process
    arena: Annotated[int, Field(ge=0, le=1)]
    generation: Annotated[int, Field(gt=0, lt=2**63)]
    bytes: Annotated[int, Field(gt=0, lt=2**50)]
    step: Annotated[int, Field(ge=0, lt=10**12)]
    samples: Count = 0
    epoch: Count = 0
    reason: Reason = "periodic"
    stall_seconds: Seconds = 0.0
    taken_at: AwareDatetime
    dataset: dict[str, Any] | None = None


class Flush(Request):
    """POST /v1/flush: `seconds` from now until a last save must be committed; null: no deadline."""

    process: Process
    seconds: Annotated[float, Field(allow_inf_nan=False)] | None = None


def _sendable(text: str) -> str:
    """Python makes lone surrogates of file names in another encoding: no receiver takes JSON with
    one, and the word is in every report from then on."""
    return text.encode("utf-8", "replace").decode()


class Say(Request):
    """POST /v1/word."""

    process: Process
    word: Literal["Finished", "Paused", "Refused"]
    reason: Annotated[str, AfterValidator(_sendable)] = ""


class Complete(Request):
    """POST /v1/complete."""

    process: Process
    snapshot: str
    wait: Wait = DEFAULT_WAIT


class Busy(Request):
    """POST /v1/busy."""

    process: Process
    what: Annotated[str, Field(max_length=128)] | None = None


class Waiting(Request):
    """GET with a long poll."""

    wait: Wait = 0.0
    after: int = 0


async def read_body(request: web.Request, kind: type[Body]) -> Body:
    """The request's JSON body.

    Raises:
        InvalidRequestError: it is not JSON or lacks something.
    """
    try:
        return parse(kind, json.loads(await request.read()))
    except ValueError as error:
        raise InvalidRequestError(f"the body is not JSON: {error}") from None


def read_query(request: web.Request, kind: type[Body]) -> Body:
    """The request's query; raises InvalidRequestError."""
    return parse(kind, dict(request.query))


def parse(kind: type[Body], raw: Mapping[str, Any]) -> Body:
    """`raw` as `kind`; raises InvalidRequestError naming each field that is wrong."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise InvalidRequestError(faults) from None
