"""I5: what is resumed is the newest checkpoint that verifies, or the job stops with the reason.

A world of checkpoints, each whole or damaged in one way, and nodes, each with good or bad memory.
Attempts walk it by `select` as the sidecar does; what they may and may not do is stated below.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st
from kit.checkpoints import an_id
from spot_training.checkpoint.selection import (
    MAX_CHOICES,
    Bad,
    Decision,
    Evidence,
    Facts,
    FromZero,
    Good,
    Kind,
    Resume,
    Stop,
    Unknown,
    Verdict,
    Wait,
    confirmed,
    newest_first,
    select,
)

HEALTH = st.sampled_from(["whole", "missing", "short", "flipped", "unseen"])


@dataclass
class World:
    """`health` by checkpoint; what attempts have left behind."""

    health: dict[str, str]
    suspects: tuple[str, ...] = ()
    tombstones: set[str] = field(default_factory=set)
    posts: list[Evidence] = field(default_factory=list)
    start_fresh: bool = False

    def verdict(self, id_: str, node: str) -> Verdict:
        health = self.health[id_]
        if health == "unseen":
            return Unknown("time-out")
        if health == "missing":
            return Bad(Evidence(id_, Kind.MISSING, node, "gone"))
        if health == "short":
            return Bad(Evidence(id_, Kind.SERVER, node, "too short"))
        return Good()

    def attempt(self, node: str, *, bad_memory: bool) -> Decision:
        """One attempt's walk, up to what its trainer would be given."""
        facts = Facts(
            node=node, commits=tuple(self.health), suspects=self.suspects,
            tombstones=frozenset(self.tombstones), evidence=tuple(self.posts),
            recorded=newest_first(self.health)[0] if self.health else None,
            start_fresh=self.start_fresh,
        )  # fmt: skip
        for _ in range(MAX_CHOICES):
            decision = select(facts, lambda id_: self.verdict(id_, node))
            if not isinstance(decision, Resume):
                return decision
            reads_well = self.health[decision.id] == "whole" and not bad_memory
            if reads_well:
                facts = replace(
                    facts, evidence=(*facts.evidence, *decision.passed), verified_on=(node,)
                )
            else:
                found = Evidence(decision.id, Kind.CONTENT, node, "differs")
                self.posts.append(found)
                facts = replace(facts, evidence=(*facts.evidence, found))
            self.tombstones |= {item.id for item in confirmed(facts)}
            if reads_well:
                return decision
        return Stop("NoValidCheckpoint", "too many choices")


worlds = st.builds(
    lambda health: World({an_id(1 + n // 3, n): state for n, state in enumerate(health)}),
    st.lists(HEALTH, max_size=8),
)
nodes = st.lists(st.tuples(st.sampled_from(["n1", "n2", "n3"]), st.booleans()), max_size=6)


def newest_whole(world: World, tombstones: set[str]) -> str | None:
    alive = [id_ for id_, health in world.health.items() if health == "whole"]
    order = newest_first(id_ for id_ in alive if id_ not in tombstones)
    return order[0] if order else None


@given(worlds, nodes)
def test_only_whole_checkpoints_are_resumed(world: World, attempts: list[tuple[str, bool]]) -> None:
    for node, bad_memory in attempts:
        decision = world.attempt(node, bad_memory=bad_memory)
        if isinstance(decision, Resume):
            assert world.health[decision.id] == "whole"


@given(worlds, st.sampled_from(["n1", "n2"]))
def test_with_good_memory_it_is_the_newest_whole_one_or_a_stop(world: World, node: str) -> None:
    order = newest_first(world.health)
    decision = world.attempt(node, bad_memory=False)
    if isinstance(decision, Resume):
        newer = order[: order.index(decision.id)]
        assert all(world.health[id_] not in ("whole", "unseen") for id_ in newer)
    elif isinstance(decision, Wait):
        unseen = next(id_ for id_ in order if world.health[id_] == "unseen")
        assert "whole" not in {world.health[id_] for id_ in order[: order.index(unseen)]}
    elif isinstance(decision, FromZero):
        assert not world.health
    else:
        assert isinstance(decision, Stop)
        flipped = [id_ for id_ in order if world.health[id_] == "flipped"]
        assert decision.word == ("BadNode" if flipped else "NoValidCheckpoint")


@given(worlds, nodes)
def test_a_whole_checkpoint_is_never_quarantined_by_one_bad_node(
    world: World, attempts: list[tuple[str, bool]]
) -> None:
    """One node has bad memory, the others are good: it buries nothing that is whole."""
    for node, _ in attempts:
        world.attempt(node, bad_memory=node == "n1")
        assert all(world.health[id_] != "whole" for id_ in world.tombstones)


@given(worlds, nodes, st.booleans())
def test_one_bad_node_never_ends_a_job_that_has_a_whole_checkpoint(
    world: World, attempts: list[tuple[str, bool]], start_fresh: bool
) -> None:
    world.start_fresh = start_fresh
    for node, _ in attempts:
        decision = world.attempt(node, bad_memory=node == "n1")
        if "whole" in world.health.values():
            assert not isinstance(decision, FromZero)
            assert not isinstance(decision, Stop) or decision.word == "BadNode"


@given(worlds, nodes)
def test_nothing_unseen_is_quarantined_or_passed_over(
    world: World, attempts: list[tuple[str, bool]]
) -> None:
    for node, bad_memory in attempts:
        decision = world.attempt(node, bad_memory=bad_memory)
        unseen = {id_ for id_, health in world.health.items() if health == "unseen"}
        assert not unseen & world.tombstones
        if isinstance(decision, Resume):
            order = newest_first(world.health)
            assert not unseen & set(order[: order.index(decision.id)])


@given(worlds)
def test_two_good_nodes_find_what_can_be_found(world: World) -> None:
    """However many are flipped, good nodes alone get past them: evidence adds up over attempts."""
    if "unseen" in world.health.values():
        return
    target = newest_whole(world, set())
    decision: Decision = Stop("", "")
    for turn in range(2 * len(world.health) + 2):
        decision = world.attempt(f"n{turn % 2}", bad_memory=False)
        if isinstance(decision, Resume):
            break
    if target is None:
        assert not isinstance(decision, Resume)
    else:
        assert decision == Resume(target, decision.passed if isinstance(decision, Resume) else ())


@given(worlds, nodes)
def test_a_job_with_commits_never_starts_from_zero(
    world: World, attempts: list[tuple[str, bool]]
) -> None:
    for node, bad_memory in attempts:
        decision = world.attempt(node, bad_memory=bad_memory)
        assert not (world.health and isinstance(decision, FromZero))
