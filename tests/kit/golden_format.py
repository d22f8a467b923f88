"""The format's golden files: what today's writer makes of fixed input, one file of every kind.

`tests/golden/format/v<n>/written/` holds them for each version; `hack/golden_format.py` makes them.
Add what is new at the end of `written`; what stands never changes within a version.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from spot_training import progress, snapshots
from spot_training.checkpoint import arena, codec, keys, layout, manifest, records
from spot_training.checkpoint.commit import build_manifest
from spot_training.checkpoint.digest import CRC32, CRC64NVME, digest_payload

VERSION = manifest.SCHEMA
ROOT = Path(__file__).resolve().parents[1] / "golden" / "format"
AT = "2026-01-02T03:04:05.678901Z"
NONCE = "0123abcd"
IDS = (keys.checkpoint_id(1, 10, NONCE), keys.checkpoint_id(2, 20, NONCE))
ALGORITHMS = (CRC64NVME, CRC32)
"""Of rank 0 and rank 1: one that has awscrt and one that does without."""
ARENA, PROGRESS = "local/arena", "local/progress"

KINDS: dict[str, type[Any]] = {
    keys.FORMAT: manifest.Format,
    keys.claim(2, 0): manifest.Claim,
    keys.receipt(IDS[1], 0): manifest.Receipt,
    keys.receipt(IDS[1], 1): manifest.Receipt,
    keys.commit(IDS[1]): manifest.Manifest,
    keys.verified(IDS[1]): manifest.Verified,
    keys.pin(IDS[1]): manifest.Pin,
    keys.expired(IDS[0]): manifest.Expired,
    keys.tombstone(IDS[0]): manifest.Tombstone,
    keys.choice(2, 0): manifest.Choice,
    keys.choice(2, 1): manifest.Choice,
    keys.post(2, 1, 0): manifest.Post,
    keys.post(2, 0, 1): manifest.Post,
    keys.marker(2): manifest.Marker,
}
"""Every kind of document, by the key of its golden file."""


def written() -> dict[str, bytes]:
    """Every golden file of today's version, by its path."""
    payloads = [_payload(rank) for rank in (0, 1)]
    receipts = [_receipt(rank, payload) for rank, payload in enumerate(payloads)]
    documents: list[tuple[str, Any]] = [
        (keys.FORMAT, manifest.Format(created_at=AT)),
        (keys.claim(2, 0), manifest.Claim(attempt=2, rank=0, pod_uid="pod-uid", nonce=NONCE,
                                          node="node-a", at=AT)),
        *((keys.receipt(IDS[1], one.rank), one) for one in receipts),
        (keys.commit(IDS[1]), build_manifest(receipts, committed_at=AT)),
        (keys.verified(IDS[1]), manifest.Verified(id=IDS[1], level="V2", at=AT)),
        (keys.pin(IDS[1]), manifest.Pin(id=IDS[1], by="a person", why="the best", at=AT)),
        (keys.expired(IDS[0]), manifest.Expired(id=IDS[0], attempt=2, why="three newer", at=AT)),
        (keys.tombstone(IDS[0]), manifest.Tombstone(
            id=IDS[0], kind="content", evidence=("bytes 0 to 9 differ",),
            nodes=("node-a", "node-b"), attempt=2, at=AT)),
        (keys.choice(2, 0), manifest.Choice(attempt=2, k=0, id=IDS[0], at=AT)),
        (keys.choice(2, 1), manifest.Choice(attempt=2, k=1, id=None, at=AT, why="none is valid")),
        (keys.post(2, 1, 0), manifest.Post(attempt=2, k=1, rank=0, id=IDS[0], verdict="verified",
                                           node="node-a", at=AT)),
        (keys.post(2, 0, 1), manifest.Post(
            attempt=2, k=0, rank=1, id=IDS[0], verdict="bad", node="node-b", at=AT,
            kind="content", detail="bytes 0 to 9 differ")),
        (keys.marker(2), manifest.Marker(attempt=2, id=IDS[1], step=20, at=AT)),
    ]  # fmt: skip
    files = {key: records.dump(document) for key, document in documents}
    files |= {keys.data(IDS[1], rank, 0): bytes(body) for rank, body in enumerate(payloads)}
    return files | {ARENA: _arena(payloads[0]), PROGRESS: _progress()}


def state(rank: int) -> tuple[dict[str, layout.Array], dict[str, Any]]:
    """Arrays and typed plain state of one process: every dtype and every type that travels."""
    rng = np.random.Generator(np.random.PCG64(17))
    arrays = {
        "arrays/w": np.arange(12, dtype="<f4").reshape(3, 4) + rank,
        "arrays/half": np.array([0.5, -2], dtype="<f2"),
        "arrays/wide": np.array([1 / 3, np.inf, -0.0]),
        "arrays/complex": np.array([1 - 2j], dtype="<c8"),
        "arrays/signed": np.array([-(2**63), 2**63 - 1]),
        "arrays/bytes": np.array([0, 255], dtype="|u1"),
        "arrays/bits": np.array([True, False]),
        "arrays/scalar": np.array(7, dtype="<i4"),
        "arrays/empty": np.zeros((0, 3)),
    }
    extras = {
        "tuple": (1, b"x", {2: None}), "counter": Counter({30: 1}), "inf": float("inf"),
        "text": "ünïcode", "scalar": np.float32(1.5), "set": {1, 2},
    }  # fmt: skip
    position = {"step": 20, "cursor": {"epoch": 1, "samples": 640}, "metrics": {}, "seed": 17}
    plain = {"objects": {}, "extras": codec.to_plain(extras), "position": position}
    return arrays, plain | {"rng": codec.to_plain(rng.bit_generator.state)}


def missing(version: Path) -> list[str]:
    """What today's writer makes that has no golden file yet."""
    return [name for name in written() if not (version / name).exists()]


def _payload(rank: int) -> memoryview:
    prepared = snapshots.Writer().prepare(*state(rank))
    payload = memoryview(bytearray(prepared.bytes))
    prepared.write(payload)
    return payload


def _receipt(rank: int, payload: memoryview) -> manifest.Receipt:
    digests = digest_payload(
        payload, tensors=layout.parse(payload).ranges(), part_size=4096,
        algorithm_name=ALGORITHMS[rank],
    )  # fmt: skip
    return manifest.Receipt(
        id=IDS[1], attempt=2, step=20, rank=rank, ranks=2, samples=640, epoch=1, reason="periodic",
        job_uid="job-uid", parent=IDS[0], snapshot_at=AT, created_at=AT, stall_seconds=0.25,
        upload_seconds=1.5, versions={"spotTraining": "0.1.0", "numpy": "2", "python": "3.11"},
        objects=(manifest.StoredObject.of(keys.data(IDS[1], rank, 0), 0, digests),),
        dataset={"fingerprint": "f00d", "seed": 3},
    )  # fmt: skip


def _arena(payload: memoryview) -> bytes:
    """A whole snapshot in an arena that held one before."""

    def make(path: Path) -> None:
        arena.allocate(path, len(payload))
        mapped = arena.Arena(path)
        for step in (10, 20):
            mapped.begin(step=step, payload_bytes=len(payload))[:] = payload
            mapped.finish()
        mapped.close()

    return _file(make)


def _progress() -> bytes:
    def make(path: Path) -> None:
        path.write_bytes(bytes(progress.BYTES))
        writer = progress.ProgressWriter(path)
        writer.write(progress.Progress(20, 640, 1, 1767323045.5, 0.25))
        writer.close()

    return _file(make)


def _file(make: Callable[[Path], None]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        make(path)
        return path.read_bytes()
