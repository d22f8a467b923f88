"""`checkpoints verify`: proves that checkpoints are whole, level by level."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence

from spot_training.backends.local import node_identity
from spot_training.checkpoint import verify
from spot_training.checkpoint.selection import Facts
from spot_training.cli.checkpoints.common import REFERENCE, Lineage, add_place, open_lineage
from spot_training.cli.codes import BAD, OK, UNSEEN
from spot_training.cli.examine import LEVELS, Examination, examine
from spot_training.cli.references import short
from spot_training.cli.text import size
from spot_training.times import rfc3339, utc_now

SUMMARY = "prove that checkpoints are whole (exit code 1 if one is not)"
DETAILS = """\
levels:
  V0  the manifest reads, matches its own digest, and adds up
  V1  every object is there and has its size
  V2  the store's own checksums agree (`-` where it keeps none)
  V3  every byte is read here and hashed; names the tensors that are damaged

Nothing is changed, and nothing quarantined, unless --quarantine asks for it. Even then only what
definite evidence condemns: another checkpoint must verify on this machine, else its own memory or
network may be at fault. V3 needs room for one object in $TMPDIR."""


def add(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "checkpoint", metavar="CHECKPOINT", nargs="?", default="newest", help=REFERENCE
    )
    which.add_argument("--all", action="store_true", help="every committed checkpoint")
    parser.add_argument("--level", choices=LEVELS, default="V3", help="how far (V3)")
    parser.add_argument("--quarantine", action="store_true", help="quarantine corrupt checkpoints")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")


def handle(options: argparse.Namespace) -> int:
    lineage = open_lineage(options)
    results = []
    for checkpoint in _wanted(lineage, options):
        result = examine(lineage.place.store, checkpoint, node=node_identity(), upto=options.level)
        results.append(result)
        if options.output == "text":
            print("\n".join(words(result)), flush=True)
    if options.output == "json":
        print(json.dumps([dataclasses.asdict(result) for result in results], indent=2))
    elif len(results) > 1:
        print(summary(results))
    if options.quarantine:
        _quarantine(lineage, results)
    return code(results)


def code(results: Sequence[Examination]) -> int:
    """Bad outweighs unseen."""
    if any(result.bad for result in results):
        return BAD
    return UNSEEN if any(result.unknown for result in results) else OK


def words(result: Examination) -> list[str]:
    """One line for the levels, one for each thing that is wrong."""
    levels = "  ".join(f"{step.level} {step.outcome}" for step in result.steps)
    read = f"  {size(result.bytes)} in {result.seconds:.1f} s" if result.proved else ""
    details = [
        f"    {detail}"
        for step in result.steps
        if step.outcome in ("bad", "unknown")
        for detail in step.details
    ]
    return [f"{short(result.id)}  {levels}{read}", *details]


def summary(results: Sequence[Examination]) -> str:
    """How many of each."""
    bad = sum(result.bad for result in results)
    unseen = sum(result.unknown for result in results)
    parts = [f"{len(results) - bad - unseen} of {len(results)} verified"]
    parts += [f"{bad} bad"] if bad else []
    parts += [f"{unseen} could not be seen"] if unseen else []
    return ", ".join(parts)


def _wanted(lineage: Lineage, options: argparse.Namespace) -> list[str]:
    if not options.all:
        return [lineage.resolve(options.checkpoint)]
    found = lineage.found
    gone = found.uploads | {key for key in found.tombstones if key not in found.manifests}
    return [checkpoint for checkpoint in found.ids() if checkpoint not in gone]


def _quarantine(lineage: Lineage, results: Sequence[Examination]) -> None:
    store, found, node = lineage.place.store, lineage.found, node_identity()
    evidence = [result.evidence for result in results if result.evidence is not None]
    if not evidence:
        return
    proved = any(result.proved for result in results) or _another_verifies(lineage, results)
    facts = Facts(
        node=node,
        commits={*found.manifests, *found.unreadable, *found.unsupported},
        tombstones=frozenset(found.tombstones),
        evidence=(*verify.read_evidence(store), *evidence),
        verified_on=frozenset({node}) if proved else frozenset(),
    )
    attempt = found.claim.attempt if found.claim else 0
    buried = verify.quarantine(store, facts, attempt=attempt, at=rfc3339(utc_now()))
    for tombstone in buried:
        print(f"quarantined {short(tombstone.id)}")
    standing = frozenset(found.tombstones) | {tombstone.id for tombstone in buried}
    for item in evidence:
        if item.id not in standing:
            print(
                f"{short(item.id)} is not quarantined: no other checkpoint verifies on this "
                "machine, so it may be at fault itself; verify on another machine"
            )


def _another_verifies(lineage: Lineage, results: Sequence[Examination]) -> bool:
    """Whether this machine can verify anything: only then its word counts against a checkpoint."""
    done = {result.id for result in results} | set(lineage.found.tombstones)
    rest = [checkpoint for checkpoint in lineage.found.manifests if checkpoint not in done]
    node = node_identity()
    return any(examine(lineage.place.store, other, node=node).proved for other in rest)
