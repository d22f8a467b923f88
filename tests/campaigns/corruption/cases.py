"""Every kind of damage, to everything in a lineage, in every kind of store: the table of cases.

A case's name is all there is to it: `<place>/<hit>/<kind>/<which>/<seed>`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from campaigns.corruption.damage import DELETE, SWAP, spoiled
from campaigns.corruption.place import API, PLACES, ROT, VOLUME, Place

BYTES = ("truncate", "flip", "zero", "shuffle", "grow", "framed", SWAP, DELETE)
WORDS = ("truncate", "flip", "zero", "grow", SWAP, DELETE)
"""What happens to documents: they are too small for the rest."""

SEEDS = 1
"""How often each case is played, each time at other positions."""

NEWEST, TWO, OLDER, ALL = "newest", "two", "older", "all"
WHICH = (NEWEST, TWO, OLDER, ALL)
_CHOSEN = {NEWEST: slice(0, 1), TWO: slice(0, 2), OLDER: slice(2, 3), ALL: slice(None)}

FOLDERS = {
    "data": "data", "manifest": "commits", "receipt": "ready", "verified": "verified",
    "pin": "pins", "expired": "expired", "tombstone": "quarantine", "evidence": "evidence",
}  # fmt: skip
"""What belongs to a checkpoint, and where it lies."""
OF_THE_JOB = {"claim": "claim", "choice": "choice", "post": "post", "marker": "complete"}
RECORDED = {"tombstone": "quarantined", "evidence": "quarantined", "marker": "completed"}
"""In which lineage there are such."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One case."""

    place: str
    hit: str
    kind: str
    which: str
    seed: str

    @classmethod
    def named(cls, name: str) -> Damage:
        return cls(*name.split("/"))

    @property
    def name(self) -> str:
        return "/".join((self.place, self.hit, self.kind, self.which, self.seed))

    @property
    def recorded(self) -> str:
        """The lineage that is damaged."""
        return "large" if self.hit == "large data" else RECORDED.get(self.hit, "plain")

    def bring_about(self, place: Place) -> int:
        """Damage the copy; how many files were hit."""
        chance = random.Random(self.name)
        if self.hit == "half commit":  # the receipts alone would bring the checkpoint back
            for path in _paths(place, "manifest", self.which):
                place.delete(path)
        targets = _paths(
            place,
            {"half commit": "receipt", "large data": "data"}.get(self.hit, self.hit),
            self.which,
        )
        if not targets:
            raise ValueError(f"{self.name}: there is nothing to damage")
        if self.kind == SWAP:
            return _swap(place, self._with_another(place, targets))
        for path in targets:
            if self.kind == DELETE:
                place.delete(path)
            else:
                place.put(path, spoiled(self.kind, path.read_bytes(), chance))
        return len(targets)

    def _with_another(self, place: Place, targets: Sequence[Path]) -> Sequence[Path]:
        """A single file is swapped with that of an older checkpoint, or attempt."""
        if len(targets) > 1:
            return targets
        hit = "data" if self.hit == "large data" else self.hit
        others = [path for path in _paths(place, hit, ALL) if path not in targets]
        return (*targets, others[-1])


def _swap(place: Place, paths: Sequence[Path]) -> int:
    """Each gets what the next one has."""
    bodies = [path.read_bytes() for path in paths]
    for path, body in zip(paths, bodies[1:] + bodies[:1], strict=True):
        place.put(path, body)
    return len(paths)


def _paths(place: Place, hit: str, which: str) -> list[Path]:
    """Files of what is hit: newest checkpoints, or latest attempts, first."""
    if hit == "format":
        return [place.root / "format.json"]
    if hit in OF_THE_JOB:
        found = _files(place.root / OF_THE_JOB[hit])
        return sorted(found, reverse=True)[_CHOSEN[which]]
    top, seen = place.root / FOLDERS[hit], place.seen
    if hit in ("tombstone", "expired", "evidence"):
        return sorted(_files(top))
    ids = seen.ids()[_CHOSEN[which]]
    return [path for id_ in ids for path in sorted(_files(top)) if id_ in str(path)]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def table() -> Iterator[Damage]:
    """All cases, by what is hit."""

    def each(
        hit: str,
        kinds: Sequence[str],
        which: Sequence[str],
        *,
        places: Sequence[str] = PLACES,
    ) -> Iterator[Damage]:
        for seed in range(1, SEEDS + 1):
            for one in which:
                for kind in kinds:
                    for place in places:
                        yield Damage(place, hit, kind, one, str(seed))

    yield from each("data", BYTES, WHICH)
    yield from each("large data", BYTES, (NEWEST,))
    yield from each("manifest", (*WORDS, "newer"), WHICH)
    yield from each("receipt", WORDS, (NEWEST, ALL))
    yield from each("half commit", ("truncate", "flip", "zero", "newer", DELETE), (NEWEST,))
    yield from each("format", ("truncate", "flip", "zero", "grow", "newer", DELETE), (ALL,))
    for hit in ("claim", "choice", "post"):
        yield from each(hit, (*WORDS, "newer"), (ALL,), places=(ROT, VOLUME))
    for hit in ("verified", "pin"):
        yield from each(hit, WORDS, (ALL,), places=(API, VOLUME))
    kinds = ("truncate", "flip", "zero", "grow", "newer", DELETE)
    for hit in ("expired", "tombstone", "evidence", "marker"):
        yield from each(hit, kinds, (ALL,), places=(ROT, VOLUME))
