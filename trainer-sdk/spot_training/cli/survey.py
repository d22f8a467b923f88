"""Everything that stands in a lineage, read once: one LIST and the documents it names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from spot_training.checkpoint import keys, records, verify
from spot_training.checkpoint.digest import AlgorithmUnavailable
from spot_training.checkpoint.manifest import (
    Choice,
    Claim,
    Expired,
    Manifest,
    Marker,
    Post,
    Tombstone,
    Verified,
)
from spot_training.checkpoint.parallel import for_each
from spot_training.checkpoint.records import FormatError, UnsupportedSchema
from spot_training.checkpoint.retention import Facts
from spot_training.checkpoint.selection import newest_first
from spot_training.checkpoint.store import NotFound, Store
from spot_training.times import parse_rfc3339

Document = TypeVar("Document")


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What is known of every checkpoint of a lineage.

    `manifests` holds those that read (V0); `unreadable` says what is wrong with others, and
    `unsupported` what has to be installed to read the rest.
    `uploads` have data or receipts but no manifest. `verified` says by whom and how far.
    `claim` is the highest attempt's; `choices` are all of that attempt's.
    """

    manifests: Mapping[str, Manifest]
    unreadable: Mapping[str, str]
    unsupported: Mapping[str, str]
    uploads: frozenset[str]
    tombstones: Mapping[str, Tombstone | None]
    pins: frozenset[str]
    expired: Mapping[str, Expired | None]
    verified: Mapping[str, str]
    bad_posts: Mapping[str, tuple[str, ...]]
    markers: Mapping[int, Marker]
    choices: tuple[Choice, ...]
    claim: Claim | None

    def ids(self) -> list[str]:
        """Every checkpoint there is any trace of, newest first."""
        seen = {*self.manifests, *self.unreadable, *self.unsupported}
        return newest_first({*seen, *self.uploads, *self.tombstones})

    def newest(self) -> str | None:
        """The newest valid one: committed, not damaged, neither quarantined nor expired.

        One that cannot be read here may be it: nothing older is taken for the newest instead.
        """
        known = set(self.manifests) | set(self.unsupported)
        left = known - set(self.tombstones) - set(self.expired)
        return next(iter(newest_first(left)), None)

    def why_unread(self, checkpoint: str) -> str:
        """Why there is no manifest of it here."""
        known = {**self.unreadable, **self.unsupported}
        return known.get(checkpoint, "it has no manifest: its upload did not end")

    def retention(self, suspects: Collection[str] = (), *, in_use: bool = True) -> Facts:
        """What retention would decide on; `in_use` says whether the highest attempt still runs."""
        highest = self.claim.attempt if self.claim else 0
        committed = {
            id_: parse_rfc3339(known.committed_at).timestamp()
            for id_, known in self.manifests.items()
        }
        return Facts(
            attempt=highest,
            highest=highest,
            commits={*self.manifests, *self.unsupported},
            verified=set(self.verified),
            doubted=set(self.bad_posts),
            tombstones=set(self.tombstones),
            pins=self.pins,
            suspects=suspects,
            results=self.results(),
            origins=[one.id for one in self.choices if one.id is not None] if in_use else (),
            committed_at=committed,
        )

    def results(self) -> frozenset[str]:
        """What completion markers name."""
        return frozenset(marker.id for marker in self.markers.values())


def survey(store: Store) -> Survey:
    """Reads it all; raises StoreError if the store cannot be seen."""
    found = store.list("")
    commits = [str(parsed) for key in found if (parsed := keys.parse_commit(key))]
    manifests, unreadable, unsupported = _manifests(store, commits)
    attempts = [claimed[0] for key in found if (claimed := keys.parse_claim(key))]
    latest = max(attempts, default=0)
    posts = _read(store, Post, [key for key in found if keys.parse_post(key)])
    buried = _by_id(keys.parse_tombstone, found)
    marked = _read(store, Marker, [key for key in found if keys.parse_marker(key) is not None])
    return Survey(
        manifests=manifests,
        unreadable=unreadable,
        unsupported=unsupported,
        uploads=_uploads(found) - frozenset(commits) - frozenset(buried),
        tombstones={key: _one(store, Tombstone, keys.tombstone(key)) for key in buried},
        pins=frozenset(_by_id(keys.parse_pin, found)),
        expired={
            key: _one(store, Expired, keys.expired(key))
            for key in _by_id(keys.parse_expired, found)
        },
        verified=_verified(store, _by_id(keys.parse_verified, found), posts.values()),
        bad_posts=_bad_posts(posts),
        markers={marker.attempt: marker for marker in marked.values()},
        choices=tuple(_read(store, Choice, store.list(keys.choices(latest))).values()),
        claim=_one(store, Claim, keys.claim(latest, 0)) if latest else None,
    )


def _manifests(
    store: Store, ids: list[str]
) -> tuple[dict[str, Manifest], dict[str, str], dict[str, str]]:
    manifests: dict[str, Manifest] = {}
    unreadable: dict[str, str] = {}
    unsupported: dict[str, str] = {}

    def read(checkpoint: str) -> None:
        try:
            manifests[checkpoint] = verify.read_manifest(store, checkpoint)
        except (UnsupportedSchema, AlgorithmUnavailable) as error:
            unsupported[checkpoint] = str(error)
        except FormatError as error:
            unreadable[checkpoint] = str(error)
        except NotFound:
            unreadable[checkpoint] = "deleted while this was read"

    for_each(ids, read)
    return manifests, unreadable, unsupported


def _read(store: Store, kind: type[Document], found: Iterable[str]) -> dict[str, Document]:
    """The documents that read, by key; one that does not is ignored."""
    wanted = list(found)
    documents = for_each(wanted, lambda key: _one(store, kind, key))
    pairs = zip(wanted, documents, strict=True)
    return {key: document for key, document in pairs if document is not None}


def _one(store: Store, kind: type[Document], key: str) -> Document | None:
    try:
        document: Document = records.load(kind, store.read(key))
    except (FormatError, NotFound):
        return None
    return document


def _by_id(parse: Callable[[str], str | None], found: Iterable[str]) -> list[str]:
    return [parsed for key in found if (parsed := parse(key))]


def _uploads(found: Iterable[str]) -> frozenset[str]:
    data = {parsed[0] for key in found if (parsed := keys.parse_data(key))}
    return frozenset(data | {receipt[0] for key in found if (receipt := keys.parse_receipt(key))})


def _verified(store: Store, ids: Iterable[str], posts: Iterable[Post]) -> dict[str, str]:
    """A download that was hashed (V3) says more than a look after the upload."""
    found = {}
    for key in ids:
        record = _one(store, Verified, keys.verified(key))
        if record is not None:
            found[key] = f"{record.level} at {record.at}"
    for post in posts:
        if post.verdict == "verified":
            found[post.id] = f"V3 on {post.node} by attempt {post.attempt} at {post.at}"
    return found


def _bad_posts(posts: Mapping[str, Post]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for key, post in posts.items():
        if post.verdict == "bad":
            found[post.id] = (*found.get(post.id, ()), key)
    return found
