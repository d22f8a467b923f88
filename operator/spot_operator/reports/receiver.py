"""What becomes of one report: accepted, or refused with the reason. No HTTP in it.

401  no token, or one that the API server does not accept for us
403  a token of another pod than the report's, or a report that contradicts the pod's labels
409  the pod is not of the current attempt; the answer names that attempt
408  the body came too slowly           413  it is too large
422  not a report; the answer says which field
429  too many reports of this pod, or too many tokens to be reviewed: try again later
503  this process does not lead, or cannot tell yet: try again
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from pydantic import ValidationError

from spot_operator.control.errors import ApiError, NotLeader
from spot_operator.control.rate import RateBudgets
from spot_operator.reports.book import ReportBook
from spot_operator.reports.identity import Busy, PodIdentity, Unseen
from spot_operator.reports.schema import MAX_REPORT_BYTES, VERSION, Report

__all__ = ["Answer", "KnownPod", "Receiver", "World"]


class Answer(NamedTuple):
    """An HTTP status and a JSON body."""

    status: int
    body: dict[str, Any]
    pod: str = ""
    """The uid of the pod that was heard, by its token; empty for anybody else."""


class KnownPod(NamedTuple):
    """What the operator itself knows of a pod of ours."""

    namespace: str
    job: str
    job_uid: str
    attempt: int
    rank: int


class World(Protocol):
    """The caches, as far as a report is checked against them."""

    def leading(self) -> bool:
        """Whether this process leads and its caches have synced."""
        ...

    def pod(self, uid: str) -> KnownPod | None:
        """The pod with that uid, while it exists."""
        ...

    def attempt_of(self, job_uid: str, namespace: str) -> int | None:
        """The current attempt of the job with that uid; None: that namespace has no such job."""
        ...


class Reviewer(Protocol):
    """Tells whose a token is."""

    async def pod_of(self, token: str) -> PodIdentity | None:
        """The pod a valid token is bound to."""
        ...


class _Refused(Exception):  # noqa: N818 - it carries an answer, not an error
    def __init__(self, status: int, error: str, *, pod: str = "", **more: Any) -> None:
        super().__init__(error)
        self.answer = Answer(status, {"error": error, **more}, pod)


def _not_leading() -> _Refused:
    return _Refused(503, "this replica does not lead: resolve the service name again")


@dataclass(frozen=True, slots=True)
class Receiver:
    """Checks reports and keeps those that pass."""

    world: World
    reviewer: Reviewer
    book: ReportBook
    accepted: Callable[[Report], None]
    """Called with every report that was kept, to wake its job and to write its events."""
    flow: RateBudgets
    """What one pod may send, by its uid."""

    async def receive(self, token: str, body: bytes) -> Answer:
        """Answer one POST: `token` as in the Authorization header, empty without one."""
        try:
            return await self._receive(token, body)
        except _Refused as refused:
            return refused.answer
        except Unseen as unseen:
            return Answer(503, {"error": str(unseen)})
        except Busy as busy:
            return Answer(429, {"error": str(busy)})
        except NotLeader:
            # The lease was lost while the API server was asked about the token.
            return _not_leading().answer
        except ApiError as error:
            return Answer(503, {"error": f"the API server could not be asked: {error.message}"})

    async def _receive(self, token: str, body: bytes) -> Answer:
        if not self.world.leading():
            raise _not_leading()
        if not token:
            raise _Refused(401, "send the projected token as `Authorization: Bearer …`")
        sender = await self.reviewer.pod_of(token)
        if sender is None:
            raise _Refused(401, "the API server does not accept this token for our audience")
        if self.flow.take(sender.uid):
            raise _Refused(429, "this pod sends too many reports: the next one tells it all")
        report = _parse(body)
        self._check(sender, report)
        if self.book.put(report):
            self.accepted(report)
        said = {"version": VERSION, "sequence": report.sequence, "acknowledged": True}
        return Answer(200, said, sender.uid)

    def _check(self, sender: PodIdentity, report: Report) -> None:
        if sender.uid != report.pod_uid:
            raise _Refused(403, f"the token belongs to another pod than {report.pod_uid}")
        pod = self.world.pod(sender.uid)
        namespace = sender.namespace if pod is None else pod.namespace
        current = self.world.attempt_of(report.job_uid, namespace)
        said = KnownPod(report.namespace, report.job, report.job_uid, report.attempt, report.rank)
        if pod is not None and pod != said:
            raise _Refused(403, f"the pod is {pod}, the report says {said}")
        if current is not None and current != report.attempt:
            error = f"attempt {current} is the current one"
            raise _Refused(409, error, pod=sender.uid, attempt=current)
        if pod is None:
            raise _Refused(
                503, "the pod is not known here: it is not in the caches yet, or was deleted"
            )


def _parse(body: bytes) -> Report:
    if len(body) > MAX_REPORT_BYTES:
        raise _Refused(413, f"a report has at most {MAX_REPORT_BYTES} bytes")
    try:
        return Report.model_validate_json(body)
    except ValidationError as error:
        raise _Refused(422, _first_fault(error)) from None


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in fault["loc"]) or "body"
    return f"{where}: {fault['msg']}"
