"""Which checkpoints stay, which are given up, which may be deleted. Pure: facts in, a plan out.

Effects are in `pruning`. Rules:
- the `keep.newest` newest verified ones stay, and whatever is newer than those; while there are
  fewer, everything stays. What nobody verified, and what is suspect, counts for nothing
- pins, results, suspects, the newest of all, and what the running attempt resumed from until one of
  its own is verified: none of them ever goes, whatever the numbers say
- of each span of `keep.milestone_every` the first verified one stays for good
- a quarantined one stays as evidence until a newer one is verified; its tombstone stays for ever
- two phases: what goes is first given up (`expired/<id>`), and deleted after `delay` seconds by the
  store's clock, if it is still to go. Until its deletion begins it is a checkpoint like any other
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from spot_training.checkpoint.keys import CheckpointId
from spot_training.checkpoint.selection import newest_first

NEWEST = 3
"""Verified checkpoints that stay at least: two may turn out bad."""
DELAY = 3600.0
"""Seconds between giving a checkpoint up and deleting it."""


class Reason(StrEnum):
    """Why a checkpoint stays; of several the first."""

    PINNED = "pinned"
    SUSPECT = "suspect"
    RESULT = "result"
    NEWEST = "newest"  # of all that are not quarantined
    LAST = "last"  # the newest verified one
    ORIGIN = "origin"  # the running attempt resumed from it, and has verified none of its own
    VERIFIED = "verified"  # among the `keep.newest` newest verified ones
    UNPROVED = "unproved"  # not verified, and too few newer ones are
    MILESTONE = "milestone"
    EVIDENCE = "evidence"  # quarantined, and no newer one is verified


@dataclass(frozen=True, slots=True)
class Keep:
    """What a job keeps: so many verified ones, and one per `milestone_every` seconds for good.

    Raises ValueError for less than three, or a span that is not positive.
    """

    newest: int = NEWEST
    milestone_every: float | None = None

    def __post_init__(self) -> None:
        if self.newest < NEWEST:
            raise ValueError(f"keep at least {NEWEST} verified checkpoints, not {self.newest}")
        if self.milestone_every is not None and self.milestone_every <= 0:
            raise ValueError(f"milestone_every must be positive, not {self.milestone_every} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that a plan depends on.

    `attempt` is who asks, `highest` the highest attempt that is claimed. `verified` was looked at
    after its upload, `doubted` was found bad by somebody. `origins` is what the highest attempt
    resumed from, `results` what completion markers name. `expired` are the ages in seconds of
    expiries, of checkpoints whose deletion has begun as well. `committed_at` (unix seconds) is
    needed for milestones alone.
    """

    attempt: int
    highest: int
    commits: Collection[str]
    verified: Collection[str] = ()
    doubted: Collection[str] = ()
    tombstones: Collection[str] = ()
    pins: Collection[str] = ()
    suspects: Collection[str] = ()
    results: Collection[str] = ()
    origins: Collection[str] = ()
    expired: Mapping[str, float] = field(default_factory=dict)
    committed_at: Mapping[str, float] = field(default_factory=dict)

    @property
    def whole(self) -> list[str]:
        """Verified, and neither doubted, suspect nor quarantined; newest first."""
        bad = {*self.doubted, *self.suspects, *self.tombstones}
        return newest_first(set(self.verified) & set(self.commits) - bad)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to happen; nothing is in two of `expire`, `take_back` and `delete`.

    `kept` says why, newest first. `expire` is given up now. `take_back` was given up and stays
    after all. `delete` was given up long enough ago, or is a deletion that was interrupted.
    """

    kept: Mapping[str, Reason] = field(default_factory=dict)
    expire: tuple[str, ...] = ()
    take_back: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()


def plan(facts: Facts, keep: Keep, *, delay: float = DELAY) -> Plan:
    """What the attempt that asks may do; nothing once a later one has claimed.

    Without `delay` there is one phase: what goes is deleted at once.
    """
    kept = why_kept(facts, keep)
    if facts.highest > facts.attempt:
        return Plan(kept)
    going = [id_ for id_ in newest_first(facts.commits) if id_ not in kept]
    mine = [id_ for id_ in going if CheckpointId.parse(id_).attempt <= facts.attempt]
    old = [id_ for id_, age in facts.expired.items() if age >= delay]
    torn = newest_first(set(old) - set(facts.commits))
    due = [id_ for id_ in mine if delay == 0 or id_ in old]
    return Plan(
        kept=kept,
        expire=tuple(id_ for id_ in mine if id_ not in facts.expired and id_ not in due),
        take_back=tuple(id_ for id_ in newest_first(facts.expired) if id_ in kept),
        delete=(*due, *torn),
    )


def why_kept(facts: Facts, keep: Keep) -> dict[str, Reason]:
    """Every checkpoint that stays, newest first, with the first reason for it."""
    found: dict[str, Reason] = {}
    for reason, members in (*needed(facts), *_wanted(facts, keep)):
        for id_ in set(members) & set(facts.commits):
            found.setdefault(id_, reason)
    return {id_: found[id_] for id_ in newest_first(found)}


def needed(facts: Facts) -> Iterator[tuple[Reason, Collection[str]]]:
    """What nobody may delete, a person included, whatever the numbers say."""
    yield Reason.PINNED, facts.pins
    yield Reason.SUSPECT, facts.suspects
    yield Reason.RESULT, facts.results
    yield Reason.NEWEST, newest_first(set(facts.commits) - set(facts.tombstones))[:1]
    yield Reason.LAST, facts.whole[:1]
    own = [id_ for id_ in facts.whole if CheckpointId.parse(id_).attempt >= facts.highest]
    yield Reason.ORIGIN, () if own else facts.origins


def _wanted(facts: Facts, keep: Keep) -> Iterator[tuple[Reason, Collection[str]]]:
    """What the numbers ask for."""
    latest = facts.whole[: keep.newest]
    alive = set(facts.commits) - set(facts.tombstones)
    few = len(latest) < keep.newest
    yield Reason.VERIFIED, latest
    yield Reason.UNPROVED, [id_ for id_ in alive if few or not _outdated(id_, latest[-1:])]
    yield Reason.MILESTONE, _milestones(facts, keep)
    evidence = [id_ for id_ in facts.tombstones if not _outdated(id_, facts.whole[:1])]
    yield Reason.EVIDENCE, evidence


def _outdated(id_: str, verified: list[str]) -> bool:
    """Whether it is older than the one in `verified`; not if there is none."""
    return bool(verified) and CheckpointId.parse(id_) < CheckpointId.parse(verified[0])


def _milestones(facts: Facts, keep: Keep) -> list[str]:
    """The first verified one of each span; spans are counted from 1970, so they never move."""
    if keep.milestone_every is None:
        return []
    first: dict[int, str] = {}
    for id_ in reversed(facts.whole):
        if id_ in facts.committed_at:
            first.setdefault(int(facts.committed_at[id_] // keep.milestone_every), id_)
    return list(first.values())
