"""Builders of checkpoints, in memory and in stores."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from spot_training import snapshots
from spot_training.checkpoint import keys, layout, records
from spot_training.checkpoint.codec import Array
from spot_training.checkpoint.commit import commit
from spot_training.checkpoint.digest import Digests, digest_payload
from spot_training.checkpoint.manifest import Claim, FileFacts, Manifest, Receipt, StoredObject
from spot_training.checkpoint.store import Store

AT = "2026-01-02T03:04:05.000000Z"
NONCE = "0123abcd"


def an_id(attempt: int = 1, step: int = 10, nonce: str = NONCE) -> str:
    return keys.checkpoint_id(attempt, step, nonce)


def a_payload(arrays: Mapping[str, Array] | None = None, plain: object = None) -> memoryview:
    """A snapshot's bytes, as an arena would hold them."""
    state = {"arrays/w": np.arange(6, dtype="<f4").reshape(2, 3)} if arrays is None else arrays
    content = plain if isinstance(plain, dict) else {"objects": {}, "extras": {}}
    prepared = snapshots.Writer().prepare(state, content)
    payload = memoryview(bytearray(prepared.bytes))
    prepared.write(payload)
    return payload


def digests_of(payload: memoryview, *, part_size: int = 5 << 20) -> Digests:
    return digest_payload(payload, tensors=layout.parse(payload).ranges(), part_size=part_size)


def a_receipt(
    payload: memoryview | None = None,
    *,
    attempt: int = 1,
    step: int = 10,
    rank: int = 0,
    ranks: int = 1,
    parent: str | None = None,
    parent_lineage: str | None = None,
) -> Receipt:
    content = a_payload() if payload is None else payload
    checkpoint = an_id(attempt, step)
    return Receipt(
        id=checkpoint,
        attempt=attempt,
        step=step,
        rank=rank,
        ranks=ranks,
        samples=step * 32,
        epoch=0,
        reason="periodic",
        job_uid="job-uid",
        parent=parent,
        parent_lineage=parent_lineage,
        snapshot_at=AT,
        created_at=AT,
        stall_seconds=0.01 * (rank + 1),
        upload_seconds=0.5,
        objects=(StoredObject.of(keys.data(checkpoint, rank, 0), 0, digests_of(content)),),
        versions={"spotTraining": "0.1.0", "numpy": "2", "python": "3.11"},
    )


def store_share(store: Store, receipt: Receipt, payload: memoryview | None = None) -> Receipt:
    """Uploads a rank's data and writes its receipt; nothing is committed."""
    content = a_payload() if payload is None else payload
    for item in receipt.objects:
        store.upload(item.key, content, item.digests)
    store.create(keys.receipt(receipt.id, receipt.rank), records.dump(receipt))
    return receipt


def commit_checkpoint(
    store: Store,
    *,
    attempt: int = 1,
    step: int = 10,
    ranks: int = 1,
    fill: int | None = None,
    committed_at: str = AT,
) -> Manifest:
    """A committed checkpoint; `fill` makes its content differ from others'."""
    value = step if fill is None else fill
    payload = a_payload({"arrays/w": np.full((64, 64), value, dtype="<f4")})
    receipts = [
        store_share(
            store, a_receipt(payload, attempt=attempt, step=step, rank=rank, ranks=ranks), payload
        )
        for rank in range(ranks)
    ]
    return commit(store, receipts, committed_at=committed_at)


def a_claim(attempt: int = 1, rank: int = 0) -> Claim:
    return Claim(attempt=attempt, rank=rank, pod_uid=f"pod-{attempt}", nonce=NONCE, node="n", at=AT)


def damaged(manifest: Manifest, **changes: object) -> Manifest:
    """The manifest with fields replaced, its digest correct again when dumped."""
    return replace(manifest, **changes)  # type: ignore[arg-type]  # any field, by name


def random_bytes(size: int) -> memoryview:
    return memoryview(os.urandom(size))


def a_file(path: str, body: bytes, *, rank: int = 0, index: int = 0) -> StoredObject:
    """A script's own file as a receipt names it."""
    facts = FileFacts(path=path, mode=0o600, uid=1, gid=2)
    key = keys.data_file(an_id(), rank, index)
    return StoredObject.of(key, 0, digest_payload(body), facts)


def a_file_receipt(files: Mapping[str, bytes], *, rank: int = 0, ranks: int = 1) -> Receipt:
    """A rank's receipt for files that its script wrote."""
    objects = (
        a_file(path, body, rank=rank, index=index)
        for index, (path, body) in enumerate(sorted(files.items()))
    )
    return replace(a_receipt(rank=rank, ranks=ranks), objects=tuple(objects))
