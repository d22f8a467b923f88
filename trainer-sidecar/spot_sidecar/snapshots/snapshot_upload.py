"""Makes one snapshot durable: digests the mapping once, uploads it, checks it did not change.

Runs in a thread. Nothing is copied: parts are slices of the shared mapping.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from spot_training.checkpoint import layout
from spot_training.checkpoint.arena import Arena, TornSnapshot
from spot_training.checkpoint.digest import digest_payload
from spot_training.checkpoint.manifest import StoredObject
from spot_training.checkpoint.store import Cancel, Store, Throttle

from spot_sidecar.snapshots.snapshot import Snapshot

__all__ = ["upload_snapshot"]


def upload_snapshot(
    store: Store,
    snapshot: Snapshot,
    *,
    path: Path,
    key: str,
    throttle: Throttle,
    cancel: Cancel,
) -> StoredObject:
    """Upload the payload in the arena at `path` under `key`; return what a receipt says of it.

    Raises:
        ArenaError: the arena does not hold this snapshot whole (any more).
        records.Damaged: the payload is not a safetensors file.
        StoreError: the store did not take it.
    """
    with _payload(path, snapshot) as payload:
        digests = digest_payload(payload, tensors=layout.parse(payload).ranges())
        store.upload(key, payload, digests, throttle=throttle, cancel=cancel)
    return StoredObject.of(key, snapshot.process, digests)


@contextlib.contextmanager
def _payload(path: Path, snapshot: Snapshot) -> Iterator[memoryview]:
    """The snapshot's bytes, mapped once: mapping a large arena takes as long as hashing it."""
    arena = Arena(path)
    try:
        with arena.snapshot(snapshot.generation) as payload:
            if len(payload) != snapshot.bytes:
                raise TornSnapshot(f"the arena holds {len(payload)} bytes, not {snapshot.bytes}")
            yield payload
        # Still whole and of the same generation: what was uploaded is what was handed over.
        arena.snapshot(snapshot.generation).release()
    finally:
        arena.close()
