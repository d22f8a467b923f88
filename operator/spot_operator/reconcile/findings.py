"""What the API server's answers taught us about a job, until they change. Memory only.

A restarted operator learns it again from the next answer.
"""

from dataclasses import dataclass, field

from spot_operator.domain.snapshot import JobKey, Refusal

__all__ = ["Finding", "Findings"]


@dataclass(slots=True)
class Finding:
    """About one job."""

    foreign: set[str] = field(default_factory=set)
    """Names our pods would have that are taken by somebody else's."""
    refusal: Refusal | None = None
    """The answer to the last POST of a pod, while it was a refusal."""
    namespace_terminating: bool = False
    """Nothing new can be created in the job's namespace any more."""


class Findings:
    """By job."""

    def __init__(self) -> None:
        self._known: dict[JobKey, Finding] = {}

    def about(self, key: JobKey) -> Finding:
        """What is known, to read."""
        return self._known.get(key) or Finding()

    def note(self, key: JobKey) -> Finding:
        """What is known, to add to."""
        return self._known.setdefault(key, Finding())

    def forget(self, key: JobKey) -> None:
        """The job is gone."""
        self._known.pop(key, None)
