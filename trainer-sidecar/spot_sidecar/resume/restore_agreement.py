"""Choice and post: how the ranks of an attempt agree on one checkpoint, in create-only documents.

Rank 0 writes `choice/<attempt>/<k>`; every rank fetches it and posts `verified` or `bad` for k; all
start once all posted `verified`. What stands is final: a restarted sidecar adopts it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from spot_training.checkpoint import keys, records, verify
from spot_training.checkpoint.manifest import Choice, Post
from spot_training.checkpoint.parallel import for_each
from spot_training.checkpoint.selection import Evidence
from spot_training.checkpoint.store import NotFound, Store

__all__ = ["RestoreAgreement", "Tried", "Votes"]


@dataclass(frozen=True, slots=True)
class Votes:
    """The posts for one choice."""

    verified: frozenset[int]
    bad: frozenset[int]
    nodes: frozenset[str]
    """Where it was verified."""

    def all_verified(self, ranks: int) -> bool:
        return len(self.verified) == ranks


@dataclass(frozen=True, slots=True)
class Tried:
    """Choices that were given up."""

    ids: frozenset[str]
    nodes: frozenset[str]
    """Where some of them were found bad."""


@dataclass(frozen=True, slots=True)
class RestoreAgreement:
    """One rank's view of its attempt's choices. Synchronous: run it in a thread."""

    attempt: int
    rank: int
    node: str
    now: Callable[[], str]

    def newest(self, store: Store) -> Choice | None:
        """The last choice of this attempt, if there is any."""
        made = self._made(store)
        return _choice(store, made[-1]) if made else None

    def before(self, store: Store, k: int) -> Tried:
        """What came of the choices before the k-th: each was found bad by some rank."""
        choices = [_choice(store, key) for key in self._made(store)]
        earlier = [choice for choice in choices if choice.k < k]
        return Tried(
            ids=frozenset(choice.id for choice in earlier if choice.id is not None),
            nodes=frozenset(
                post.node
                for choice in earlier
                for post in self._posts(store, choice.k)
                if post.verdict != "verified"
            ),
        )

    def choose(
        self, store: Store, k: int, checkpoint: str | None, why: str, lineage: str | None = None
    ) -> Choice:
        """Write the k-th choice, `lineage` if it is another job's; return the one that stands."""
        choice = Choice(
            attempt=self.attempt, k=k, id=checkpoint, lineage=lineage, at=self.now(), why=why
        )
        key = keys.choice(self.attempt, k)
        if store.create(key, records.dump(choice)):
            return choice
        return _choice(store, key)

    def post(self, store: Store, choice: Choice, evidence: Evidence | None) -> Post:
        """Post this rank's verdict on the choice (`evidence`: bad); return the one that stands."""
        post = Post(
            attempt=self.attempt,
            k=choice.k,
            rank=self.rank,
            id=choice.id or "",
            verdict="bad" if evidence else "verified",
            node=self.node,
            at=self.now(),
            kind=str(evidence.kind) if evidence else "",
            detail=evidence.detail[:1024] if evidence else "",
        )
        return verify.write_post(store, post)

    def posted(self, store: Store, choice: Choice) -> Post | None:
        """What this rank has posted for the choice before."""
        try:
            return _post(store, keys.post(self.attempt, choice.k, self.rank))
        except NotFound:
            return None

    def _made(self, store: Store) -> list[str]:
        return [key for key in store.list(keys.choices(self.attempt)) if keys.parse_choice(key)]

    def votes(self, store: Store, k: int) -> Votes:
        """What every rank has posted for the k-th choice so far."""
        posts = self._posts(store, k)
        good = [post for post in posts if post.verdict == "verified"]
        return Votes(
            verified=frozenset(post.rank for post in good),
            bad=frozenset(post.rank for post in posts if post.verdict != "verified"),
            nodes=frozenset(post.node for post in good),
        )

    def _posts(self, store: Store, k: int) -> Sequence[Post]:
        found = (key for key in store.list(keys.posts(self.attempt, k)) if keys.parse_post(key))
        return for_each(found, partial(_post, store))


def _choice(store: Store, key: str) -> Choice:
    """The choice that stands; raises records.Damaged if it belongs to another key."""
    choice = records.load(Choice, store.read(key))
    if keys.choice(choice.attempt, choice.k) != key:
        raise records.Damaged(f"{key} holds choice {choice.k} of attempt {choice.attempt}")
    return choice


def _post(store: Store, key: str) -> Post:
    """The post that stands; raises records.Damaged if it belongs to another key."""
    post = records.load(Post, store.read(key))
    if keys.post(post.attempt, post.k, post.rank) != key:
        raise records.Damaged(f"{key} holds rank {post.rank}'s post of attempt {post.attempt}")
    return post
