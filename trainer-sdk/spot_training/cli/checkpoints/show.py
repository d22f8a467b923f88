"""`checkpoints show`: one checkpoint in words, and its tensors."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from spot_training.checkpoint import keys, layout, records
from spot_training.checkpoint.manifest import FILE, Manifest, StoredObject
from spot_training.checkpoint.store import Corrupt, NotFound, Store
from spot_training.cli.checkpoints.common import add_place, add_reference, open_lineage
from spot_training.cli.codes import BAD, OK
from spot_training.cli.header import read_slots
from spot_training.cli.states import Row, row
from spot_training.cli.survey import Survey
from spot_training.cli.text import age, count, pairs, size, table
from spot_training.times import parse_rfc3339, utc_now

SUMMARY = "tell everything about one checkpoint: where it comes from, and its tensors"
DETAILS = "Only headers are read: it does not verify (see `verify`)."


def add(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    add_reference(parser)
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")


def handle(options: argparse.Namespace) -> int:
    lineage = open_lineage(options)
    place = lineage.place
    shown = row(lineage.found, lineage.resolve(options.checkpoint), place.suspects, place.keep)
    if options.output == "json":
        print(json.dumps(_as_json(lineage.place.store, shown), indent=2))
    else:
        print("\n".join(words(lineage.found, shown, utc_now())))
        if shown.manifest is not None:
            print("\n".join(content(lineage.place.store, shown.manifest)))
    return OK if shown.manifest else BAD


def words(found: Survey, shown: Row, now: datetime) -> list[str]:
    """The manifest and what is known beside it."""
    known = shown.manifest
    facts = [
        ("state", shown.words),
        ("problem", "" if known else found.why_unread(shown.id)),
        ("evidence", _evidence(found, shown.id)),
        ("verified", found.verified.get(shown.id, "")),
        ("kept", f"because it is: {shown.kept}" if shown.kept else ""),
        ("expired", _expired(found, shown.id)),
    ]
    facts += _manifest_facts(known, now) if known else []
    return [f"checkpoint {shown.id}", *pairs(facts)]


def content(store: Store, manifest: Manifest) -> list[str]:
    """The tensors of every process, and the files that the script wrote itself."""
    states = [item for item in manifest.objects if item.role != FILE]
    said = [line for item in states for line in tensors(store, item)]
    files = [item for item in manifest.objects if item.role == FILE]
    return said + (file_table(files) if files else [])


def file_table(files: Sequence[StoredObject]) -> list[str]:
    """The files of a checkpoint that a script wrote itself."""
    listed = [
        [item.file.path if item.file else item.key, f"{item.size:,}", item.digest, item.key]
        for item in sorted(files, key=lambda item: item.key)
    ]
    lines = table(("FILE", "BYTES", "DIGEST", "KEY"), listed, right="BYTES")
    return ["", *lines, count(len(files), "file")]


def tensors(store: Store, item: StoredObject) -> list[str]:
    """A table of one object's tensors."""
    parsed = keys.parse_data(item.key)
    who = f"rank {parsed[1]}, process {parsed[2]}" if parsed else item.key
    title = f"\n{who}: {size(item.size)}, {item.algorithm} {item.digest}, {item.key}"
    try:
        slots = read_slots(store, item)
    except (records.Damaged, Corrupt, NotFound) as error:
        return [title, f"  its header cannot be read: {error}"]
    header = ("TENSOR", "DTYPE", "SHAPE", "BYTES", "DIGEST")
    listed = [_tensor(slot, item) for slot in slots if slot.name != layout.STATE]
    state = slots[-1].end - slots[-1].start
    table_lines = table(header, listed, right="BYTES") if listed else []
    return [title, *table_lines, f"{count(len(listed), 'tensor')} and {state:,} B of typed state"]


def _tensor(slot: layout.Slot, item: StoredObject) -> list[str]:
    shape = "[" + ",".join(map(str, slot.spec.shape)) + "]"
    digest = item.tensors.get(slot.name, "-")
    return [slot.name, slot.spec.dtype, shape, f"{slot.end - slot.start:,}", digest]


def _manifest_facts(known: Manifest, now: datetime) -> Sequence[tuple[str, str]]:
    cost = known.cost
    whose = f" of {known.parent_lineage}" if known.parent_lineage else ""
    begun = f"resumed from {known.parent}{whose}" if known.parent else "begun from zero"
    return [
        ("trained", f"{count(known.step, 'step')}, {known.samples:,} samples, epoch {known.epoch}"),
        ("exact", _exact(known.dataset)),
        ("attempt", f"{known.attempt}, {begun}"),
        ("committed", f"{known.committed_at} ({age(parse_rfc3339(known.committed_at), now)} ago)"),
        ("taken", f"{known.snapshot_at}, because: {known.reason}"),
        ("cost", f"stall {cost.stall_seconds:.3f} s, upload {cost.upload_seconds:.2f} s"),
        ("size", f"{size(cost.bytes)} in {count(len(known.objects), 'object')}, {known.sharding}"),
        ("job", known.job_uid),
        ("written by", ", ".join(f"{name} {value}" for name, value in known.versions.items())),
    ]  # fmt: skip


def _exact(dataset: Mapping[str, Any] | None) -> str:
    """Whether what resumes from it goes on as if nothing had been interrupted."""
    if dataset is None or "exact" not in dataset:
        return ""
    return "yes" if dataset["exact"] else f"not sure: {dataset.get('why', '')}"


def _evidence(found: Survey, checkpoint: str) -> str:
    tombstone = found.tombstones.get(checkpoint)
    if tombstone is None:
        return ""
    seen = "; ".join(tombstone.evidence)
    return f"{seen} (by attempt {tombstone.attempt} on {', '.join(tombstone.nodes)})"


def _expired(found: Survey, checkpoint: str) -> str:
    if checkpoint not in found.expired:
        return ""
    word = found.expired[checkpoint]
    said = f"{word.why} (by attempt {word.attempt} at {word.at}); " if word else ""
    return f"{said}deleted an hour after that, unless `pin` saves it"


def _as_json(store: Store, shown: Row) -> dict[str, Any]:
    objects = []
    for item in shown.manifest.objects if shown.manifest else ():
        if item.role == FILE:
            objects.append(records.to_json(item))
            continue
        slots = read_slots(store, item)
        listed = {
            slot.name: {
                "dtype": slot.spec.dtype,
                "shape": list(slot.spec.shape),
                "bytes": slot.end - slot.start,
                "digest": item.tensors.get(slot.name),
            }
            for slot in slots
        }
        objects.append({"key": item.key, "algorithm": item.algorithm, "tensors": listed})
    manifest = records.to_json(shown.manifest) if shown.manifest else None
    return {**shown.to_json(), "objects": objects, "manifest": manifest}
