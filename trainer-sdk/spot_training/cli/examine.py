"""How far a checkpoint verifies, level by level, and what exactly is wrong with it.

V0 the manifest reads, matches its own digest and adds up. V1 every object has its size. V2 the
server's own checksum agrees. V3 every byte, read here, has the digest it had when it was written.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from spot_training.checkpoint import layout, records, verify
from spot_training.checkpoint.digest import AlgorithmUnavailable, algorithm
from spot_training.checkpoint.manifest import Manifest, StoredObject
from spot_training.checkpoint.selection import Evidence, Kind, Unknown
from spot_training.checkpoint.store import Corrupt, NotFound, Stat, Store, StoreError
from spot_training.cli.scratch import scratch

LEVELS = ("V0", "V1", "V2", "V3")
OK, BAD, UNKNOWN, SKIPPED = "ok", "bad", "unknown", "-"


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One level's outcome: ok, bad, unknown (it could not be seen) or - (not kept there)."""

    level: str
    outcome: str
    details: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Examination:
    """What was found; it ends with the first level that is not ok."""

    id: str
    steps: tuple[Step, ...]
    evidence: Evidence | None = None
    bytes: int = 0
    seconds: float = 0.0

    @property
    def bad(self) -> bool:
        return any(step.outcome == BAD for step in self.steps)

    @property
    def unknown(self) -> bool:
        return any(step.outcome == UNKNOWN for step in self.steps)

    @property
    def proved(self) -> bool:
        """Every byte was read and is right."""
        return any((step.level, step.outcome) == ("V3", OK) for step in self.steps)


def examine(store: Store, checkpoint: str, *, node: str, upto: str = "V3") -> Examination:
    """Verifies one checkpoint up to a level. Raises nothing of the store's: that is `unknown`."""
    began = time.monotonic()
    wanted = LEVELS[: LEVELS.index(upto) + 1]
    steps: list[Step] = []
    manifest: Manifest | None = None
    for level in wanted:
        step, kind, manifest = _level(store, checkpoint, level, manifest)
        steps.append(step)
        if step.outcome in (BAD, UNKNOWN):
            break
    evidence = None
    if steps[-1].outcome == BAD:
        evidence = Evidence(checkpoint, kind, node, "; ".join(steps[-1].details))
    size = manifest.cost.bytes if manifest else 0
    return Examination(checkpoint, tuple(steps), evidence, size, time.monotonic() - began)


def _level(
    store: Store, checkpoint: str, level: str, manifest: Manifest | None
) -> tuple[Step, Kind, Manifest | None]:
    try:
        if manifest is None:
            return Step(level, OK), Kind.SERVER, verify.read_manifest(store, checkpoint)
        return (*_LOOKS[level](store, manifest), manifest)
    except (records.UnsupportedSchema, AlgorithmUnavailable) as error:
        return Step(level, UNKNOWN, (str(error),)), Kind.SERVER, manifest
    except (records.FormatError, Corrupt) as error:
        return Step(level, BAD, (str(error),)), Kind.SERVER, manifest
    except NotFound as error:
        found = verify.missing(store, checkpoint, node="", error=error)
        outcome = UNKNOWN if isinstance(found, Unknown) else BAD
        why = found.why if isinstance(found, Unknown) else found.evidence.detail
        return Step(level, outcome, (why,)), Kind.MISSING, manifest
    except StoreError as error:
        return Step(level, UNKNOWN, (str(error),)), Kind.SERVER, manifest


def _sizes(store: Store, manifest: Manifest) -> tuple[Step, Kind]:
    problems = [verify.wrong_size(item, store.stat(item.key)) for item in manifest.objects]
    return _step("V1", problems), Kind.SERVER


def _checksums(store: Store, manifest: Manifest) -> tuple[Step, Kind]:
    stats: list[tuple[StoredObject, Stat]] = [
        (item, store.stat(item.key)) for item in manifest.objects
    ]
    if not any(stat.algorithm == item.algorithm for item, stat in stats):
        return Step("V2", SKIPPED, ("the store keeps no such checksums",)), Kind.SERVER
    return _step("V2", [verify.wrong_checksum(item, stat) for item, stat in stats]), Kind.SERVER


def _bytes(store: Store, manifest: Manifest) -> tuple[Step, Kind]:
    problems = [problem for item in manifest.objects for problem in _read_back(store, item)]
    return _step("V3", problems), Kind.CONTENT


_LOOKS: dict[str, Callable[[Store, Manifest], tuple[Step, Kind]]] = {
    "V1": _sizes,
    "V2": _checksums,
    "V3": _bytes,
}


def _step(level: str, problems: list[str]) -> Step:
    found = tuple(problem for problem in problems if problem)
    return Step(level, BAD if found else OK, found)


def _read_back(store: Store, item: StoredObject) -> list[str]:
    with scratch(item.size) as room:
        try:
            store.download(item.key, room, item.digests)
        except Corrupt as error:
            return [str(error), *blame(memoryview(store.read(item.key)), item)]
    return []


def blame(content: memoryview, item: StoredObject) -> list[str]:
    """Which tensors' bytes differ from the manifest's digests; the header if none does.

    Of a script's own file nothing is known but its name.
    """
    if item.file is not None:
        return [f"the script's file {item.file.path}"]
    if len(content) != item.size:
        return [f"{item.key}: {len(content)} bytes of {item.size}"]
    try:
        ranges = layout.parse(content).ranges()
    except records.Damaged as error:
        return [f"{item.key}: {error}"]
    digest = algorithm(item.algorithm)
    wrong = [
        f"tensor {name}, bytes {start} to {end}"
        for name, start, end in ranges
        if digest.of(content[start:end]) != item.tensors.get(name)
    ]
    return wrong or [f"{item.key}: the header, bytes 0 to {ranges[0][1]}"]
