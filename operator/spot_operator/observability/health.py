"""Whether this process works, as its probes are told.

`alive`: the process does what it is there for; if not, a restart may help. kopf's own endpoint
knows nothing of our watches, and a watch that is silent or a queue that stands still is exactly
what a restart mends. `ready`: it leads with synced caches and reports can reach it, or it stands by
to lead, and no other release is in its way. Jobs go on while it is not; the Service of the reports
does not ask for readiness.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

__all__ = ["MAX_SILENCE", "MAX_STUCK", "Facts", "Verdict", "alive", "ready"]

MAX_SILENCE: Final = 180.0
"""Bookmarks come every minute and a silent watch is reopened after 70 s: this is three in a row."""
MAX_STUCK: Final = 300.0
"""No pass takes minutes: a worker that has a job for so long hangs. That jobs wait for a worker is
another matter, which a restart makes worse."""


class Verdict(NamedTuple):
    """Good or not, and why in one sentence."""

    good: bool
    why: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the probes look at; times in seconds."""

    leading: bool
    """Whether this process leads: only then it watches and works."""
    refused: str = ""
    """Why it may not work though it is well: another release watches the same namespaces."""
    synced: bool = False
    """Whether every first list is in."""
    lacks: str = ""
    """What keeps reports from reaching the leader; empty when nothing does."""
    leading_for: float = 0.0
    silences: Mapping[str, float] = field(default_factory=dict)
    """Time since each watch was heard of, by kind; infinite before the first list."""
    stuck_for: float = 0.0
    """For how long a worker has had its job, or jobs have waited and none was taken."""


def alive(facts: Facts) -> Verdict:
    """Whether to let the process live."""
    if not facts.leading:
        return Verdict(good=True, why="standing by")
    for kind, silence in facts.silences.items():
        # Before the first list the silence is infinite; from then on the lead is the older one.
        if min(silence, facts.leading_for) > MAX_SILENCE:
            return Verdict(good=False, why=f"nothing heard of {kind} for {MAX_SILENCE:.0f} s")
    if facts.stuck_for > MAX_STUCK:
        return Verdict(good=False, why=f"no end of a pass for {facts.stuck_for:.0f} s")
    return Verdict(good=True, why="leading")


def ready(facts: Facts) -> Verdict:
    """Whether the process does its part."""
    if facts.refused:
        return Verdict(good=False, why=facts.refused)
    if facts.leading and not facts.synced:
        return Verdict(good=False, why="leading, the first lists are not in yet")
    if facts.leading and facts.lacks:
        return Verdict(good=False, why=f"leading, but no report is heard: {facts.lacks}")
    return Verdict(good=True, why="leading" if facts.leading else "standing by")
