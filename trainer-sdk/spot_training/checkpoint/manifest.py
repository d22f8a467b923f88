"""The documents of a lineage. Times are RFC 3339 UTC strings, durations seconds, sizes bytes.

A checkpoint exists if and only if its Manifest does. Everything else is on the way to it
(Claim, Receipt), about it (Verified, Pin, Expired, Tombstone) or says who resumed from it (Choice,
Post, Marker).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spot_training.checkpoint import keys
from spot_training.checkpoint.digest import Digests
from spot_training.checkpoint.records import OPTIONAL

SCHEMA = 1
STATE = "state"
"""Role of a process's state: a safetensors file of ours."""
FILE = "file"
"""Role of a file that the script wrote itself; it has `FileFacts`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """Written once per lineage; that it reads proves that the lineage can be seen."""

    schema: int = SCHEMA
    min_reader: int = SCHEMA
    created_at: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """Where a script's own file belongs: `path` relative to its directory, `mode` without type."""

    path: str
    mode: int
    uid: int
    gid: int
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One immutable file of a checkpoint, with what is needed to verify any range of it."""

    key: str
    process: int
    role: str = STATE
    size: int
    algorithm: str
    digest: str
    part_size: int
    parts: tuple[str, ...]
    tensors: dict[str, str]
    file: FileFacts | None = field(default=None, metadata=OPTIONAL)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, key: str, process: int, digests: Digests, file: FileFacts | None = None
    ) -> StoredObject:
        """The entry of an uploaded snapshot, or of a script's own file."""
        return cls(
            key=key,
            process=process,
            role=FILE if file else STATE,
            file=file,
            size=digests.size,
            algorithm=digests.algorithm,
            digest=digests.whole,
            part_size=digests.part_size,
            parts=digests.parts,
            tensors=dict(digests.tensors),
        )

    @property
    def digests(self) -> Digests:
        """What `Store.upload` and `Store.download` check against."""
        return Digests(
            self.algorithm, self.size, self.part_size, self.parts, self.digest, self.tensors
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A rank's word that its share of a checkpoint is durable."""

    schema: int = SCHEMA
    id: str
    attempt: int
    step: int
    rank: int
    ranks: int
    samples: int
    epoch: int
    reason: str
    job_uid: str
    parent: str | None = None
    parent_lineage: str | None = field(default=None, metadata=OPTIONAL)
    snapshot_at: str
    created_at: str
    stall_seconds: float
    upload_seconds: float
    objects: tuple[StoredObject, ...]
    versions: dict[str, str]
    dataset: dict[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the checkpoint cost: the longest stall and upload of any rank, and all bytes."""

    stall_seconds: float
    upload_seconds: float
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The commit: names every object of every rank.

    `parent_lineage` says whose checkpoint `parent` is, as `<namespace>/<name>/<uid>`; without it
    the job's own.
    """

    schema: int = SCHEMA
    min_reader: int = SCHEMA
    id: str
    attempt: int
    step: int
    samples: int
    epoch: int
    ranks: int
    sharding: str = "rank-local"
    reason: str
    parent: str | None
    parent_lineage: str | None = field(default=None, metadata=OPTIONAL)
    job_uid: str
    created_at: str
    snapshot_at: str
    committed_at: str
    objects: tuple[StoredObject, ...]
    receipts: dict[str, str]
    versions: dict[str, str]
    cost: Cost
    dataset: dict[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def objects_of(self, rank: int) -> tuple[StoredObject, ...]:
        """The objects that `rank` restores from, in the order of their processes."""
        mine = [item for item in self.objects if _rank(item.key) == rank]
        return tuple(sorted(mine, key=lambda item: item.process))


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A pod's claim of (attempt, rank); the nonce tells its own claim from a predecessor's."""

    schema: int = SCHEMA
    attempt: int
    rank: int
    pod_uid: str
    nonce: str
    node: str
    at: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Rank 0's k-th choice of what an attempt resumes from; `id` null means from zero.

    `lineage` says whose checkpoint it is (`<namespace>/<name>/<uid>`); without it the job's own.
    """

    schema: int = SCHEMA
    attempt: int
    k: int
    id: str | None
    lineage: str | None = field(default=None, metadata=OPTIONAL)
    at: str
    why: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A rank's final word about a choice, with the node that it was formed on.

    `verdict` is `verified` or `bad`; `kind` says what was bad (see selection.Evidence).
    """

    schema: int = SCHEMA
    attempt: int
    k: int
    rank: int
    id: str
    verdict: str
    node: str
    at: str
    kind: str = ""
    detail: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """Quarantine: the checkpoint is never chosen again, by the evidence given."""

    schema: int = SCHEMA
    id: str
    kind: str
    evidence: tuple[str, ...]
    nodes: tuple[str, ...]
    attempt: int
    at: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """The result of the last verification of a checkpoint after its upload."""

    schema: int = SCHEMA
    id: str
    level: str
    at: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """The checkpoint stays, whatever retention would do, until its pin is deleted.

    `by` says who wants it, `why` what for. A suspect is pinned by the sidecar.
    """

    schema: int = SCHEMA
    id: str
    by: str
    why: str
    at: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """Retention gave the checkpoint up: it is deleted an hour after this was written.

    Until then it is a checkpoint like any other; after that it counts as deleted, even where
    its deletion was interrupted. `attempt` is the one that gave it up.
    """

    schema: int = SCHEMA
    id: str
    attempt: int
    why: str
    at: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """Completion: the job's result is checkpoint `id` of `attempt`."""

    schema: int = SCHEMA
    attempt: int
    id: str
    step: int
    at: str
    extra: Mapping[str, Any] = field(default_factory=dict)


def _rank(key: str) -> int | None:
    parsed = keys.parse_data(key)
    return parsed[1] if parsed else None
