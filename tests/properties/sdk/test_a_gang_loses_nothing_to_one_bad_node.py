"""I5 for gangs: one node with bad memory, on whatever rank, costs an attempt and no work.

Every rank reads its own share of what rank 0 chose, and a choice is given up as soon as one rank
found it bad, before the others have said anything or after. The sidecars' part is played here; what
they decide by is `select` and `confirmed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st
from kit.checkpoints import an_id
from spot_training.checkpoint.selection import (
    MAX_CHOICES,
    Decision,
    Evidence,
    Facts,
    Good,
    Kind,
    Resume,
    Stop,
    confirmed,
    newest_first,
    select,
)

RANKS = 3
NODES = ("n0", "n1", "n2")
SPARE = "n3"
ranks = st.integers(0, RANKS - 1)


@dataclass
class World:
    """`damaged` by checkpoint: the ranks whose share of it is."""

    damaged: Mapping[str, frozenset[int]]
    bad_node: str = ""
    start_fresh: bool = False
    hasty: bool = False
    """A choice is given up at one rank's word; the others never get to say theirs."""
    posts: list[Evidence] = field(default_factory=list)
    tombstones: set[str] = field(default_factory=set)

    def attempt(self, nodes: Sequence[str]) -> Decision:
        """One attempt, the rank r on `nodes[r]`: the word that ends it, or what all resume from."""
        facts = Facts(
            node=nodes[0], commits=tuple(self.damaged), recorded=newest_first(self.damaged)[0],
            start_fresh=self.start_fresh, evidence=tuple(self.posts),
            tombstones=frozenset(self.tombstones),
        )  # fmt: skip
        for _ in range(MAX_CHOICES):
            said = word_of(facts)
            decision = select(facts, lambda _: Good())
            if said:
                # Rank 0 waits for the word of a rank, or it is its own.
                assert isinstance(decision, Stop)
                assert decision.word == "BadNode"
                return said
            if not isinstance(decision, Resume):
                # Nobody waits for a word that nobody says.
                assert not isinstance(decision, Stop) or decision.node in ("", nodes[0])
                return decision
            found = self.read(decision.id, nodes)
            facts = replace(
                facts,
                evidence=(*facts.evidence, *found),
                tried={*facts.tried, decision.id} if found else facts.tried,
                gang={*facts.gang, *(item.node for item in found)},
                verified_on=() if found else nodes,
                verified=None if found else decision.id,
            )
            if not found:
                self.tombstones |= {item.id for item in confirmed(facts)}
                return decision
        raise AssertionError("no end of choices")

    def read(self, checkpoint: str, nodes: Sequence[str]) -> list[Evidence]:
        """What the ranks find bad, and have posted when rank 0 looks."""
        bad = [
            Evidence(checkpoint, Kind.CONTENT, node, "differs")
            for rank, node in enumerate(nodes)
            if node == self.bad_node or rank in self.damaged[checkpoint]
        ]
        found = bad[-1:] if self.hasty else bad
        self.posts += found
        return found

    def newest_whole(self) -> str | None:
        whole = [id_ for id_, damage in self.damaged.items() if not damage]
        return newest_first(whole)[0] if whole else None


def word_of(facts: Facts) -> Stop | None:
    """What a rank says whose node is what is bad: each of them asks as rank 0 does."""
    seen = select(replace(facts, node=""), lambda _: Good())
    return seen if isinstance(seen, Stop) and seen.node in facts.gang else None


def lineage(damage: Sequence[frozenset[int]]) -> dict[str, frozenset[int]]:
    return {an_id(1 + n // 3, n): ranks for n, ranks in enumerate(damage)}


lineages = st.lists(st.frozensets(ranks, max_size=2), min_size=1, max_size=6).map(lineage)
whole_lineages = st.integers(1, 6).map(lambda count: lineage([frozenset()] * count))
worlds = st.builds(
    World, lineages, bad_node=st.sampled_from(NODES), start_fresh=st.booleans(), hasty=st.booleans()
)
places = st.permutations([*NODES, SPARE]).map(lambda nodes: nodes[:RANKS])


@given(whole_lineages, ranks, st.booleans(), st.booleans())
def test_the_bad_node_is_named_and_without_it_the_newest_is_resumed(
    damaged: dict[str, frozenset[int]], bad_rank: int, start_fresh: bool, hasty: bool
) -> None:
    world = World(damaged, NODES[bad_rank], start_fresh, hasty)
    ended = world.attempt(NODES)
    assert isinstance(ended, Stop)
    assert (ended.word, ended.node) == ("BadNode", world.bad_node)
    others = [SPARE if node == world.bad_node else node for node in NODES]
    assert world.attempt(others) == Resume(newest_first(damaged)[0])
    assert not world.tombstones


@given(worlds, st.lists(places, max_size=6))
def test_nothing_whole_is_buried_passed_over_or_begun_anew(
    world: World, attempts: list[list[str]]
) -> None:
    newest = world.newest_whole()
    for nodes in attempts:
        decision = world.attempt(nodes)
        assert all(world.damaged[id_] for id_ in world.tombstones)
        if isinstance(decision, Resume):
            assert decision.id == newest
        elif newest is not None:
            assert isinstance(decision, Stop)
            assert decision.word == "BadNode"


@given(whole_lineages, st.frozensets(ranks, min_size=1), st.booleans())
def test_a_damaged_newest_one_is_passed_over_in_the_same_attempt(
    damaged: dict[str, frozenset[int]], shares: frozenset[int], hasty: bool
) -> None:
    newest = an_id(9, 99)
    world = World({**damaged, newest: shares}, hasty=hasty)
    assert world.attempt(NODES) == Resume(newest_first(damaged)[0])
    assert world.tombstones == {newest}


@given(lineages, st.booleans(), st.booleans())
def test_good_nodes_find_what_can_be_found(
    damaged: dict[str, frozenset[int]], start_fresh: bool, hasty: bool
) -> None:
    """Each attempt avoids the nodes of those before it: what one saw the next one confirms."""
    world = World(damaged, start_fresh=start_fresh, hasty=hasty)
    if (newest := world.newest_whole()) is None:
        return
    decision: Decision = Stop("", "")
    for turn in range(2 * len(damaged)):
        decision = world.attempt([f"n{turn}-{rank}" for rank in range(RANKS)])
        if isinstance(decision, Resume):
            break
    assert isinstance(decision, Resume)
    assert decision.id == newest
