"""Whatever happens to a lineage, retention deletes nothing that a job may need.

A world of checkpoints that are committed, verified, doubted, quarantined and pinned while attempts
follow each other, time passes, and both the running attempt and zombies prune by `plan`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.checkpoints import an_id
from spot_training.checkpoint.keys import CheckpointId
from spot_training.checkpoint.retention import DELAY, Facts, Keep, Plan, Reason, plan
from spot_training.checkpoint.selection import newest_first

KEEP = Keep(newest=3, milestone_every=7200.0)


@dataclass
class World:
    """A lineage, and the time in it; `given_up` are the times of expiries."""

    now: float = 0.0
    attempt: int = 1
    step: int = 0
    committed_at: dict[str, float] = field(default_factory=dict)
    verified: set[str] = field(default_factory=set)
    doubted: set[str] = field(default_factory=set)
    tombstones: set[str] = field(default_factory=set)
    pins: set[str] = field(default_factory=set)
    origins: dict[int, str] = field(default_factory=dict)
    given_up: dict[str, float] = field(default_factory=dict)

    def pick(self, number: int) -> str | None:
        known = newest_first(self.committed_at)
        return known[number % len(known)] if known else None

    def facts(self, asking: int) -> Facts:
        origin = self.origins.get(self.attempt)
        return Facts(
            attempt=asking,
            highest=self.attempt,
            commits=set(self.committed_at),
            verified=frozenset(self.verified),
            doubted=frozenset(self.doubted),
            tombstones=frozenset(self.tombstones),
            pins=frozenset(self.pins),
            origins=[origin] if origin else [],
            expired={id_: self.now - at for id_, at in self.given_up.items()},
            committed_at=dict(self.committed_at),
        )

    def prune(self, asking: int) -> Plan:
        """One pass, as `pruning` carries it out."""
        wanted = plan(self.facts(asking), KEEP)
        for id_ in wanted.take_back:
            del self.given_up[id_]
        self.given_up |= dict.fromkeys(wanted.expire, self.now)
        for id_ in wanted.delete:
            self.committed_at.pop(id_, None)
            self.verified.discard(id_)
            self.doubted.discard(id_)
            del self.given_up[id_]
        return wanted


def commit(world: World, count: int, unverified: int) -> None:
    """So many, ten minutes apart; one of them is not verified."""
    for number in range(count):
        world.now += 600.0
        world.step += 1
        id_ = an_id(world.attempt, world.step)
        world.committed_at[id_] = world.now
        if number != unverified:
            world.verified.add(id_)


def begin_an_attempt(world: World, number: int) -> None:
    world.attempt += 1
    alive = newest_first(set(world.committed_at) - world.tombstones)
    if alive:  # the newest, or one before it because that one was passed over
        world.origins[world.attempt] = alive[min(number % 3, len(alive) - 1)]


def change(name: str, how: str) -> Callable[[World, int], None]:
    def apply(world: World, number: int) -> None:
        if id_ := world.pick(number):
            getattr(getattr(world, name), how)(id_)

    return apply


EVENTS: dict[str, Callable[[World, int], None]] = {
    "nothing": lambda _world, _number: None,
    "attempt": begin_an_attempt,
    "verify": change("verified", "add"),
    "doubt": change("doubted", "add"),
    "bury": change("tombstones", "add"),
    "pin": change("pins", "add"),
    "unpin": change("pins", "discard"),
}
PASS, ZOMBIE = "pass", "zombie"


@dataclass(frozen=True)
class Round:
    """Something is committed, something happens, time passes, and somebody prunes."""

    commits: int
    unverified: int
    event: str
    number: int
    minutes: int
    zombie: bool


histories = st.lists(
    st.builds(
        Round,
        commits=st.integers(0, 5),
        unverified=st.integers(0, 9),
        event=st.sampled_from(sorted(EVENTS)),
        number=st.integers(0, 9),
        minutes=st.sampled_from([0, 10, 59, 61]),
        zombie=st.booleans(),
    ),
    min_size=4,
    max_size=20,
)


def happen(world: World, history: list[Round], check: Callable[[str, Facts], None]) -> None:
    """Lets it all happen; `check` is called after each pass with its name and what was before."""
    for round_ in history:
        commit(world, round_.commits, round_.unverified)
        EVENTS[round_.event](world, round_.number)
        world.now += 60.0 * round_.minutes
        if round_.zombie and world.attempt > 1:
            before = world.facts(world.attempt)
            world.prune(1 + round_.number % (world.attempt - 1))
            check(ZOMBIE, before)
        before = world.facts(world.attempt)
        world.prune(world.attempt)
        check(PASS, before)


@given(histories)
def test_what_a_job_may_need_is_never_deleted(history: list[Round]) -> None:
    world = World()

    def check(_: str, before: Facts) -> None:
        left = set(world.committed_at)
        alive = newest_first(set(before.commits) - set(before.tombstones))
        own = [id_ for id_ in before.whole if CheckpointId.parse(id_).attempt == world.attempt]
        needed = {*alive[:1], *before.whole[: KEEP.newest]} | set(before.pins)
        needed |= set() if own else set(before.origins)
        assert needed & set(before.commits) <= left

    happen(world, history, check)


@given(histories)
def test_three_verified_ones_remain_if_there_were_three(history: list[Round]) -> None:
    world = World()

    def check(_: str, before: Facts) -> None:
        left = world.facts(world.attempt).whole
        assert left[: KEEP.newest] == before.whole[: KEEP.newest]

    happen(world, history, check)


@given(histories)
def test_nothing_is_deleted_that_was_not_given_up_an_hour_before(
    history: list[Round],
) -> None:
    world = World()

    def check(_: str, before: Facts) -> None:
        for id_ in set(before.commits) - set(world.committed_at):
            assert before.expired[id_] >= DELAY

    happen(world, history, check)


@given(histories)
def test_a_zombie_changes_nothing(history: list[Round]) -> None:
    world = World()

    def check(who: str, before: Facts) -> None:
        if who == ZOMBIE:
            assert world.facts(world.attempt) == before

    happen(world, history, check)


@given(histories)
def test_a_second_pass_at_the_same_time_finds_nothing_to_do(history: list[Round]) -> None:
    world = World()

    def check(who: str, _: Facts) -> None:
        if who == PASS:
            again = plan(world.facts(world.attempt), KEEP)
            assert (again.expire, again.take_back, again.delete) == ((), (), ())

    happen(world, history, check)


@given(histories)
def test_a_milestone_stays_for_good_unless_it_turns_out_bad(history: list[Round]) -> None:
    """The first that was verified in its span stays, or one before it that was verified later."""
    world = World()

    def check(_: str, before: Facts) -> None:
        spans = {int(world.committed_at[id_] // 7200) for id_ in world.facts(1).whole}
        assert spans == {int(before.committed_at[id_] // 7200) for id_ in before.whole}

    happen(world, history, check)


@pytest.mark.parametrize("newest", [2, 0, -1])
def test_fewer_than_three_are_refused(newest: int) -> None:
    with pytest.raises(ValueError, match="at least 3"):
        Keep(newest=newest)


# -- each reason -------------------------------------------------------------------------------

IDS = [an_id(1, step) for step in range(6)]
FOUR = {"commits": IDS[:4], "verified": IDS[:4]}

WHY: list[tuple[dict[str, object], dict[str, Reason]]] = [
    ({"commits": IDS[:1]}, {IDS[0]: Reason.NEWEST}),
    ({"commits": IDS[:2]}, {IDS[1]: Reason.NEWEST, IDS[0]: Reason.UNPROVED}),
    ({**FOUR}, {IDS[3]: Reason.NEWEST, IDS[2]: Reason.VERIFIED, IDS[1]: Reason.VERIFIED}),
    (
        {"commits": IDS, "verified": [IDS[0], IDS[1], IDS[3]], "tombstones": [IDS[5]]},
        {
            IDS[5]: Reason.EVIDENCE,
            IDS[4]: Reason.NEWEST,
            IDS[3]: Reason.LAST,
            IDS[2]: Reason.UNPROVED,
            IDS[1]: Reason.VERIFIED,
            IDS[0]: Reason.VERIFIED,
        },
    ),
    (
        {**FOUR, "pins": [IDS[0]], "results": [IDS[1]], "suspects": [IDS[2]]},
        {
            IDS[3]: Reason.NEWEST,
            IDS[2]: Reason.SUSPECT,
            IDS[1]: Reason.RESULT,
            IDS[0]: Reason.PINNED,
        },
    ),
    (
        {"commits": IDS[:5], "verified": IDS[:5], "suspects": [IDS[4]]},
        {IDS[4]: Reason.SUSPECT, IDS[3]: Reason.LAST, IDS[1]: Reason.VERIFIED},
    ),
    ({**FOUR, "attempt": 2, "highest": 2, "origins": [IDS[0]]}, {IDS[0]: Reason.ORIGIN}),
    ({**FOUR, "committed_at": {IDS[0]: 5.0, IDS[1]: 6.0}}, {IDS[0]: Reason.MILESTONE}),
]


@pytest.mark.parametrize(("world", "why"), WHY)
def test_why_a_checkpoint_stays(world: dict[str, object], why: dict[str, Reason]) -> None:
    facts = Facts(**{"attempt": 1, "highest": 1, **world})  # type: ignore[arg-type]  # by name
    found = plan(facts, KEEP)
    assert {id_: found.kept.get(id_) for id_ in why} == why
    assert set(found.kept) | set(found.expire) == set(facts.commits)
