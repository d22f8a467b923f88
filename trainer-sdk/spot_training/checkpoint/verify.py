"""Looks at checkpoints in a store: the facts that `selection` decides on.

V0 the manifest parses, matches its own digest and adds up. V1 every object has its size. V2 the
checksum that the server holds is the manifest's. V3 (bytes hashed while they are downloaded) is
`Store.download`. V5 (what the trainer holds after
loading) is `state.py` of the SDK.
"""

from __future__ import annotations

import dataclasses
from functools import partial

from spot_training.checkpoint import keys, records
from spot_training.checkpoint.digest import AlgorithmUnavailable, combined
from spot_training.checkpoint.manifest import (
    Format,
    Manifest,
    Post,
    StoredObject,
    Tombstone,
    Verified,
)
from spot_training.checkpoint.parallel import for_each
from spot_training.checkpoint.selection import (
    Bad,
    Evidence,
    Facts,
    Good,
    Kind,
    Unknown,
    Verdict,
    confirmed,
)
from spot_training.checkpoint.store import Corrupt, NotFound, Stat, Store, StoreError

_REMEDY = (
    "the checkpoints may be whole: put an undamaged copy there, that of any other lineage of this "
    "version will do"
)


def open_lineage(store: Store, *, created_at: str) -> Format:
    """Reads the lineage's format record, writing it first in a new lineage.

    A lineage that has anything in it but no format record is not ours to begin: Corrupt.
    """
    try:
        return read_format(store)
    except NotFound:
        if store.list(keys.COMMITS) or store.list(keys.CLAIMS):
            raise Corrupt(
                f"{keys.FORMAT} is missing from a lineage that has begun; {_REMEDY}"
            ) from None
    store.create(keys.FORMAT, records.dump(Format(created_at=created_at)))
    return read_format(store)


def read_format(store: Store) -> Format:
    """The lineage's format record. Raises NotFound, records.UnsupportedSchema, and Corrupt if it is
    damaged: then nothing is known of any checkpoint.
    """
    try:
        return records.load(Format, store.read(keys.FORMAT))
    except (records.Damaged, Corrupt) as error:
        raise Corrupt(f"{keys.FORMAT} is damaged ({error}); {_REMEDY}") from error


def look(store: Store, facts: Facts) -> Facts:
    """`facts` with what the store now holds: commits, tombstones, markers."""
    commits = (keys.parse_commit(key) for key in store.list(keys.COMMITS))
    tombstones = (keys.parse_tombstone(key) for key in store.list(keys.TOMBSTONES))
    markers = (keys.parse_marker(key) for key in store.list(keys.MARKERS))
    return dataclasses.replace(
        facts,
        commits=frozenset(str(found) for found in commits if found),
        tombstones=frozenset(found for found in tombstones if found),
        markers=frozenset(found for found in markers if found is not None),
    )


def read_manifest(store: Store, checkpoint: str) -> Manifest:
    """The manifest, V0-checked. Raises NotFound, records.Damaged, records.UnsupportedSchema."""
    manifest = records.load(Manifest, store.read(keys.commit(checkpoint)))
    expect_sound(manifest, checkpoint)
    return manifest


def verdict(store: Store, checkpoint: str, *, node: str) -> Verdict:
    """V0 to V2 of one candidate. Raises nothing: trouble on the way is Unknown."""
    try:
        return _examined(store, checkpoint, node)
    except (records.UnsupportedSchema, AlgorithmUnavailable) as error:
        return Unknown(str(error), retry=False)
    except NotFound as error:
        return missing(store, checkpoint, node=node, error=error)
    except Corrupt as error:
        return Bad(Evidence(checkpoint, Kind.SERVER, node, str(error)))
    except StoreError as error:
        return Unknown(str(error))


def prove(store: Store, checkpoint: str, *, node: str, at: str) -> Verdict:
    """The verdict of one that was uploaded; if it is good, that is recorded. Raises StoreError."""
    found = verdict(store, checkpoint, node=node)
    if isinstance(found, Good):
        word = Verified(id=checkpoint, level="V2", at=at)
        store.create(keys.verified(checkpoint), records.dump(word))
    return found


def expect_sound(manifest: Manifest, checkpoint: str) -> None:
    """V0 beyond the digest: raises records.Damaged if the manifest does not add up."""
    parsed = keys.CheckpointId.parse(checkpoint)
    if (manifest.id, manifest.attempt, manifest.step) != (
        checkpoint, parsed.attempt, parsed.step,
    ):  # fmt: skip
        raise records.Damaged(f"the manifest of {checkpoint} says it is {manifest.id}")
    places = (keys.parse_data(item.key) for item in manifest.objects)
    found = {place[1] for place in places if place and place[0] == checkpoint}
    if found != set(range(manifest.ranks)):
        raise records.Damaged(f"{checkpoint}: objects of ranks {sorted(found)} of {manifest.ranks}")
    for item in manifest.objects:
        _expect_combined(item)


def wrong_size(item: StoredObject, stat: Stat) -> str:
    """V1: what is wrong with the object's size; empty if nothing is."""
    if stat.size == item.size:
        return ""
    return f"{item.key} has {stat.size} bytes, its manifest says {item.size}"


def wrong_checksum(item: StoredObject, stat: Stat) -> str:
    """V2: how the checksum that the server holds differs; empty if not, or if it holds none."""
    if stat.algorithm != item.algorithm or stat.checksum == item.digest:
        return ""
    return f"{item.key}: the store's checksum is {stat.checksum}, not {item.digest}"


def missing(store: Store, checkpoint: str, *, node: str, error: NotFound) -> Bad | Unknown:
    """What NotFound says: evidence only where the lineage's format record can be read."""
    try:
        read_format(store)
    except (StoreError, records.FormatError) as blind:
        return Unknown(f"{error}, but the lineage's format record cannot be read either: {blind}")
    return Bad(Evidence(checkpoint, Kind.MISSING, node, str(error)))


def quarantine(store: Store, facts: Facts, *, attempt: int, at: str) -> tuple[Tombstone, ...]:
    """Writes a tombstone for every checkpoint whose evidence is definite; returns the new ones."""
    tombstones = []
    for item in confirmed(facts):
        same = [other for other in facts.evidence if other.id == item.id]
        tombstone = Tombstone(
            id=item.id,
            kind=str(item.kind),
            evidence=tuple(other.detail for other in same),
            nodes=tuple(sorted({other.node for other in same})),
            attempt=attempt,
            at=at,
        )
        if store.create(keys.tombstone(item.id), records.dump(tombstone)):
            tombstones.append(tombstone)
    return tuple(tombstones)


def write_post(store: Store, post: Post) -> Post:
    """Posts a rank's verdict; returns the one that stands, which is final.

    A bad one is first written where `read_evidence` looks: nothing that stands is overlooked. What
    a run wrote there that died before its post, and that does not stand, is taken back: else a
    checkpoint that verified would be condemned.
    """
    body = records.dump(post)
    evidence = keys.evidence(post.id, post.attempt, post.k, post.rank)
    if post.verdict == "bad":
        store.create(evidence, body)
    key = keys.post(post.attempt, post.k, post.rank)
    standing = post if store.create(key, body) else records.load(Post, store.read(key))
    if standing.verdict != "bad" and store.list(evidence):  # deleting may not be permitted
        store.delete(evidence)
    return standing


def read_evidence(store: Store) -> tuple[Evidence, ...]:
    """What posts of every attempt found bad: a later node confirms an earlier one's.

    Only what is not quarantined yet is read, so thousands of attempts cost no more than one.
    """
    buried = {keys.parse_tombstone(key) for key in store.list(keys.TOMBSTONES)}
    found = [(key, keys.parse_evidence(key)) for key in store.list(keys.EVIDENCE)]
    wanted = [key for key, checkpoint in found if checkpoint and checkpoint not in buried]
    read = for_each(wanted, partial(_evidence, store))
    return tuple(evidence for evidence in read if evidence)


def _evidence(store: Store, key: str) -> Evidence | None:
    """A post that cannot be read, or belongs elsewhere, is ignored."""
    try:
        post = records.load(Post, store.read(key))
        if post.verdict != "bad" or key != keys.evidence(post.id, post.attempt, post.k, post.rank):
            return None
        return Evidence(post.id, Kind(post.kind), post.node, post.detail)
    except (records.FormatError, Corrupt, ValueError):
        return None


def _examined(store: Store, checkpoint: str, node: str) -> Verdict:
    try:
        manifest = read_manifest(store, checkpoint)
    except records.Damaged as error:
        return Bad(Evidence(checkpoint, Kind.SERVER, node, str(error)))
    for item in manifest.objects:
        stat = store.stat(item.key)
        problem = wrong_size(item, stat) or wrong_checksum(item, stat)
        if problem:
            return Bad(Evidence(checkpoint, Kind.SERVER, node, problem))
    return Good()


def _expect_combined(item: StoredObject) -> None:
    try:
        whole = combined(item.algorithm, item.size, item.part_size, item.parts)
    except ValueError as error:
        raise records.Damaged(f"{item.key}: {error}") from error
    if whole != item.digest:
        raise records.Damaged(f"{item.key}: its parts combine to {whole}, not {item.digest}")
