"""Reading the evidence alone decides as reading every post of every attempt would."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from kit.checkpoints import AT, an_id
from kit.stores import FaultyStore, failing
from spot_training.checkpoint import keys, records, verify
from spot_training.checkpoint.manifest import Post, Tombstone
from spot_training.checkpoint.selection import Evidence, Facts, Kind, confirmed
from spot_training.checkpoint.store import Store, Unreachable
from spot_training.checkpoint.stores.directory import DirectoryStore

CHECKPOINTS = [an_id(1, step) for step in (10, 20, 30)]


@dataclass(frozen=True)
class Vote:
    """One rank's words on its attempt's choice; all but the last died before they were posted."""

    attempt: int
    rank: int
    checkpoint: str
    node: str
    words: tuple[str, ...]

    def posts(self) -> list[Post]:
        return [
            Post(
                attempt=self.attempt, k=0, rank=self.rank, id=self.checkpoint, verdict=word,
                node=self.node, at=AT, kind="content" if word == "bad" else "",
            )
            for word in self.words
        ]  # fmt: skip


VOTES = st.lists(
    st.builds(
        Vote,
        attempt=st.integers(2, 9),
        rank=st.integers(0, 1),
        checkpoint=st.sampled_from(CHECKPOINTS),
        node=st.sampled_from(["n1", "n2", "n3"]),
        words=st.lists(st.sampled_from(["bad", "verified"]), min_size=1, max_size=3).map(tuple),
    ),
    max_size=12,
    unique_by=lambda vote: (vote.attempt, vote.rank),
)


def cast(store: DirectoryStore, vote: Vote) -> None:
    *died, last = vote.posts()
    for post in died:
        dying = FaultyStore(store, failing("create", error=Unreachable, below=keys.POSTS))
        with contextlib.suppress(Unreachable):
            verify.write_post(dying, post)
    verify.write_post(store, last)


def by_every_post(store: Store) -> set[Evidence]:
    """The costly way: whatever stands, but for what is buried."""
    buried = {keys.parse_tombstone(key) for key in store.list(keys.TOMBSTONES)}
    posts = [records.load(Post, store.read(key)) for key in store.list(keys.POSTS)]
    return {
        Evidence(post.id, Kind(post.kind), post.node, post.detail)
        for post in posts
        if post.verdict == "bad" and post.id not in buried
    }


@settings(max_examples=60, deadline=None)
@given(votes=VOTES, buried=st.sets(st.sampled_from(CHECKPOINTS), max_size=2))
def test_the_evidence_is_that_of_every_post_that_stands(
    votes: list[Vote], buried: set[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = DirectoryStore.prepare(Path(folder) / "lineage")
        for vote in votes:
            cast(store, vote)
        for checkpoint in buried:
            tombstone = Tombstone(
                id=checkpoint, kind="content", evidence=(), nodes=(), attempt=1, at=AT
            )
            store.create(keys.tombstone(checkpoint), records.dump(tombstone))
        found, wanted = verify.read_evidence(store), by_every_post(store)
        assert set(found) == wanted
        for node in ("n1", "n2", "n3"):
            facts = Facts(node=node, commits=CHECKPOINTS, verified_on={node})
            condemned = [
                {item.id for item in confirmed(replace(facts, evidence=evidence))}
                for evidence in (found, tuple(wanted))
            ]
            assert condemned[0] == condemned[1]
