"""The world as time passes, with nothing else happening."""

from collections.abc import Iterator
from dataclasses import replace

from kit.builders import later, persisted
from spot_operator.domain.observed.snapshot import Snapshot
from spot_operator.domain.plan import plan

__all__ = ["walked"]

SILENT: float = 60.0
"""A report that is older, in seconds, ages on; a younger one is followed by others."""


def walked(snapshot: Snapshot, limit: float) -> Iterator[tuple[float, Snapshot]]:
    """The world as it ages from one wake-up to the next, nothing else happening."""
    passed, now = 0.0, persisted(snapshot)
    while passed < limit:
        wake = plan(now).wake_after
        assert wake is not None, "nobody looks again"
        step = wake.total_seconds()
        passed += step
        reports = {
            uid: replace(
                one,
                age=one.age + step if one.age > SILENT else one.age,
                step_age=one.step_age + step,
                commit_age=one.commit_age + step,
            )
            for uid, one in now.reports.items()
        }
        now = persisted(later(now, step, reports=reports))
        yield passed, now
