"""From receipts to a commit.

The manifest is a pure function of the receipts of all ranks (and of the time of the commit), so
any sidecar may write it. Its key is create-only: of several committers one wins and the others
adopt what stands. A complete set of receipts without a manifest is rolled forward by whoever
resumes: its pod died between the last receipt and the commit.
"""

# ruff: noqa: N818 - errors are named for what happened
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from spot_training.checkpoint import keys, records
from spot_training.checkpoint.manifest import Cost, Manifest, Receipt
from spot_training.checkpoint.parallel import for_each
from spot_training.checkpoint.store import Corrupt, NotFound, Store
from spot_training.checkpoint.union import Conflict, union


class Incomplete(Exception):
    """Not every rank has written its receipt."""


class Disagreement(Exception):
    """The receipts of one checkpoint contradict each other, or a manifest contradicts them."""


def build_manifest(receipts: Sequence[Receipt], *, committed_at: str) -> Manifest:
    """The manifest of a complete set; raises Incomplete or Disagreement."""
    if not receipts:
        raise Incomplete("no receipt")
    ordered = sorted(receipts, key=lambda receipt: receipt.rank)
    first = ordered[0]
    _expect_agreement(ordered)
    if [receipt.rank for receipt in ordered] != list(range(first.ranks)):
        raise Incomplete(f"{first.id}: {len(ordered)} of {first.ranks} receipts")
    objects = tuple(item for receipt in ordered for item in receipt.objects)
    try:
        union(objects)
    except (Conflict, records.Damaged) as error:
        raise Disagreement(f"{first.id}: {error}") from None
    return Manifest(
        id=first.id,
        attempt=first.attempt,
        step=first.step,
        samples=first.samples,
        epoch=first.epoch,
        ranks=first.ranks,
        reason=first.reason,
        parent=first.parent,
        parent_lineage=first.parent_lineage,
        job_uid=first.job_uid,
        created_at=max(receipt.created_at for receipt in ordered),
        snapshot_at=max(receipt.snapshot_at for receipt in ordered),
        committed_at=committed_at,
        objects=objects,
        receipts={str(receipt.rank): records.record_digest(receipt) for receipt in ordered},
        versions=first.versions,
        cost=Cost(
            stall_seconds=max(receipt.stall_seconds for receipt in ordered),
            upload_seconds=max(receipt.upload_seconds for receipt in ordered),
            bytes=sum(item.size for item in objects),
        ),
        dataset=least_exact(receipt.dataset for receipt in ordered),
    )


def least_exact(datasets: Iterable[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """What is told of the data of several: the first that is not exact, else the first."""
    told = list(datasets)
    doubtful = (one for one in told if one and one.get("exact") is False)
    found = next(doubtful, told[0])
    return dict(found) if found else None


def read_receipts(store: Store, checkpoint: str) -> tuple[Receipt, ...]:
    """The receipts that stand for one checkpoint, by rank."""
    found = store.list(keys.receipts(checkpoint))
    wanted = [key for key in found if keys.parse_receipt(key) is not None]
    return tuple(records.load(Receipt, body) for body in for_each(wanted, store.read))


def commit(store: Store, receipts: Sequence[Receipt], *, committed_at: str) -> Manifest:
    """Commits a complete set and returns the manifest that stands, ours or another committer's.

    Raises Incomplete, or Disagreement if a manifest of other receipts stands under the key.
    """
    manifest = build_manifest(receipts, committed_at=committed_at)
    key = keys.commit(manifest.id)
    if store.create(key, records.dump(manifest)):
        return manifest
    standing = records.load(Manifest, store.read(key))
    if standing.receipts != manifest.receipts:
        raise Disagreement(f"{manifest.id} is committed with other receipts")
    return standing


def roll_forward(store: Store, *, committed_at: str) -> tuple[Manifest, ...]:
    """Commits every complete set of receipts that has no manifest; returns the new manifests.

    Sets that are incomplete, damaged or quarantined are left alone. Raises UnsupportedSchema for
    receipts of a newer version beyond the newest commit: what they hold must not be passed over.
    """
    committed_ids = (keys.parse_commit(key) for key in store.list(keys.COMMITS))
    buried = (keys.parse_tombstone(key) for key in store.list(keys.TOMBSTONES))
    done = {str(found) for found in (*committed_ids, *buried) if found}
    waiting = _waiting(store.list(keys.RECEIPTS), done)

    def rolled(checkpoint: str) -> Manifest | None:
        try:
            if not _complete(store, checkpoint, waiting[checkpoint]):
                return None
            return _committed(store, checkpoint, committed_at)
        except records.UnsupportedSchema:
            if _newer_than_all(checkpoint, done):
                raise
            return None

    committed = for_each(sorted(waiting), rolled)
    return tuple(manifest for manifest in committed if manifest is not None)


def _waiting(receipts: Sequence[str], done: set[str]) -> dict[str, list[int]]:
    """The ranks whose receipts are there, by checkpoint."""
    waiting: dict[str, list[int]] = {}
    for key in receipts:
        found = keys.parse_receipt(key)
        if found and found[0] not in done:
            waiting.setdefault(found[0], []).append(found[1])
    return waiting


def is_complete(store: Store, checkpoint: str) -> bool:
    """Whether all receipts of a checkpoint stand."""
    found = (keys.parse_receipt(key) for key in store.list(keys.receipts(checkpoint)))
    ranks = [place[1] for place in found if place]
    return bool(ranks) and _complete(store, checkpoint, ranks)


def _complete(store: Store, checkpoint: str, ranks: Sequence[int]) -> bool:
    """Whether all receipts are there, by one of them: what gangs that died left costs one read."""
    try:
        first = records.load(Receipt, store.read(keys.receipt(checkpoint, min(ranks))))
    except (records.Damaged, Corrupt, NotFound):
        return False
    return len(ranks) == first.ranks


def _committed(store: Store, checkpoint: str, committed_at: str) -> Manifest | None:
    try:
        return commit(store, read_receipts(store, checkpoint), committed_at=committed_at)
    except (Incomplete, Disagreement, records.Damaged, Corrupt, NotFound):
        return None


def _newer_than_all(checkpoint: str, others: set[str]) -> bool:
    parsed = keys.CheckpointId.parse(checkpoint)
    return all(parsed > keys.CheckpointId.parse(other) for other in others)


def _expect_agreement(receipts: Sequence[Receipt]) -> None:
    first = _common(receipts[0])
    for receipt in receipts[1:]:
        other = _common(receipt)
        for name, value in first.items():
            if other[name] != value:
                raise Disagreement(
                    f"{receipts[0].id}: rank {receipts[0].rank} says {name} {value!r}, "
                    f"rank {receipt.rank} says {other[name]!r}"
                )


def _common(receipt: Receipt) -> Mapping[str, object]:
    return {
        "id": receipt.id,
        "attempt": receipt.attempt,
        "step": receipt.step,
        "ranks": receipt.ranks,
        "epoch": receipt.epoch,
        "parent": receipt.parent,
        "parentLineage": receipt.parent_lineage,
        "jobUID": receipt.job_uid,
    }
