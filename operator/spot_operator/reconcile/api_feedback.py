"""What the API server's answers taught us about a job. Memory only; nothing here holds for ever.

An answer may come from a webhook, may pass, or may be about a former job of the same name. So each
finding belongs to one job (by uid) and ends: a refusal with the next success or when the write is
not asked for any more, a taken name with the next pod that is created, the end of a namespace
after a minute, when the next POST asks again. A restarted operator learns it all anew.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from spot_operator.control.clock import Clock
from spot_operator.control.errors import ApiError
from spot_operator.domain.observed.snapshot import JobKey, Refusal

__all__ = ["NAMESPACE_BELIEVED", "PASSING", "TRIES", "ApiFeedback", "Feedback"]

NAMESPACE_BELIEVED: Final = 60.0
"""Seconds: then the namespace is tried again."""
TRIES: Final = 3
"""So often an answer that may pass is tried again before people are told of it."""
PASSING: Final = frozenset({0, 401, 404, 408, 409, 410, 429})
"""Answers that may pass by themselves, as those from 500 on may."""


WORDS: Final = re.compile(r"[\w.:+-]+")
"""With a digit in it, a time, a size, an address or the id of a request: what differs between two
answers of one meaning."""


@dataclass(slots=True)
class Feedback:
    """About one job."""

    job_uid: str = ""
    foreign: set[str] = field(default_factory=set)
    """Names our pods would have that are taken by somebody else's."""
    refusals: dict[str, Refusal] = field(default_factory=dict)
    """The last answer to each write that is being refused, by what was asked for."""
    terminating_since: float | None = None
    """When the API server last said that the namespace is going, monotonic."""

    def refused(
        self, what: str, error: ApiError, *, creates: str = "", added: str = ""
    ) -> Refusal | None:
        """Note the refusal of a write; returns it when people are to be told of it now.

        `creates` is the name of the pod that was to be created; `added` as in `Refusal`.
        """
        if creates:
            # Another answer to the same question.
            self.terminating_since = None
        before = self.refusals.get(what)
        tries = 1 if before is None else before.tries + 1
        passes = error.status in PASSING or error.status >= 500
        told = (before is not None and before.told) or not passes or tries >= TRIES
        message = error.message
        if before is not None and before.code == error.status and _alike(before.message, message):
            # Written anew each time, it would wake the job each time, and the write be tried again.
            message = before.message
        self.refusals[what] = Refusal(creates, error.status, message, what, tries, told, added)
        news = told and (before is None or not before.told)
        return self.refusals[what] if news else None

    def succeeded(self, what: str) -> bool:
        """Note that a write was accepted; returns whether it had been refused before."""
        return self.refusals.pop(what, None) is not None

    def keep_only(self, asked: Iterable[str]) -> bool:
        """Forget refusals of writes that nobody asks for any more; returns whether any was."""
        gone = set(self.refusals) - set(asked)
        for what in gone:
            del self.refusals[what]
        return bool(gone)

    @property
    def creation(self) -> Refusal | None:
        """The refusal of a pod that was to be created, once people are told of it."""
        return next((one for one in self.refusals.values() if one.pod and one.told), None)

    @property
    def others(self) -> tuple[Refusal, ...]:
        """The refusals of every other write that people are told of, the oldest first."""
        return tuple(one for one in self.refusals.values() if not one.pod and one.told)


class ApiFeedback:
    """By job."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[JobKey, Feedback] = {}

    def about(self, key: JobKey, job_uid: str) -> Feedback:
        """What is known of that job, to read; nothing of a former one of its name."""
        known = self._known.get(key)
        return known if known is not None and known.job_uid == job_uid else Feedback(job_uid)

    def note(self, key: JobKey, job_uid: str) -> Feedback:
        """What is known of that job, to add to."""
        self._known[key] = known = self.about(key, job_uid)
        return known

    def namespace_terminates(self, key: JobKey, job_uid: str) -> None:
        """The API server said so, just now."""
        self.note(key, job_uid).terminating_since = self._clock.monotonic()

    def namespace_terminating(self, key: JobKey, job_uid: str) -> bool:
        """Whether nothing new can be created in the job's namespace, as said a short while ago."""
        since = self.about(key, job_uid).terminating_since
        return since is not None and self._clock.monotonic() - since < NAMESPACE_BELIEVED

    def namespace_goes(self, key: JobKey, job_uid: str) -> bool:
        """Whether the last answer to a POST was that, however long ago."""
        return self.about(key, job_uid).terminating_since is not None

    def forget(self, key: JobKey) -> None:
        """The job is gone."""
        self._known.pop(key, None)

    def __len__(self) -> int:
        """How many jobs something is known of."""
        return len(self._known)


def _alike(first: str, second: str) -> bool:
    return WORDS.sub(_unnumbered, first) == WORDS.sub(_unnumbered, second)


def _unnumbered(word: re.Match[str]) -> str:
    return "#" if any(map(str.isdigit, word[0])) else word[0]
