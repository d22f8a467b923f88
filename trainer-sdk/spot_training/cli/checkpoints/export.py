"""`checkpoints export`: plain safetensors that any tool reads, and the typed state as JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from spot_training.checkpoint import codec, keys, layout
from spot_training.checkpoint.manifest import FILE, Manifest, StoredObject
from spot_training.checkpoint.union import union
from spot_training.cli import plain
from spot_training.cli.checkpoints.common import Lineage, add_place, add_reference, open_lineage
from spot_training.cli.codes import OK, Refusal
from spot_training.cli.durable import replacing
from spot_training.cli.references import short
from spot_training.cli.scratch import scratch
from spot_training.cli.text import count, size

SUMMARY = "write a checkpoint as plain safetensors that any tool reads"
DETAILS = """\
Every byte is verified while it is read (V3); nothing is written of a checkpoint that is damaged.
--to FILE.safetensors writes that file, anything else is a directory; a checkpoint of several
processes needs a directory and becomes one file for each. Beside each file is its typed state
(step, position, random state, plain values) as FILE.json.

Names are those that `show` lists: the keyword of resume(), a slash, the name inside. --prefix
model/ takes the model alone, under the names of its state_dict():

  spot-training checkpoints export WHERE newest --to m.safetensors \\
      --prefix model/
  model.load_state_dict(safetensors.torch.load_file("m.safetensors"))

Files that a script wrote itself (checkpoint.source Directory) keep their paths and modes.
"""


def add(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    add_reference(parser)
    parser.add_argument("--to", metavar="PATH", required=True, type=Path)
    parser.add_argument("--prefix", default="", help="only names that begin so; it is cut off")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")


def handle(options: argparse.Namespace) -> int:
    lineage = open_lineage(options)
    checkpoint = lineage.resolve(options.checkpoint)
    manifest = _readable(lineage, checkpoint)
    for file in union(manifest.objects):
        print(_export_file(lineage, file, options))
    for item, path in _targets(manifest, options.to):
        taken = _export(lineage, manifest, item, path, options=options)
        print(f"{path}  {taken}")
    return OK


def _readable(lineage: Lineage, checkpoint: str) -> Manifest:
    manifest = lineage.found.manifests.get(checkpoint)
    if manifest is None:
        why = lineage.found.why_unread(checkpoint)
        raise Refusal(f"{short(checkpoint)} cannot be exported: {why}")
    return manifest


def _export_file(lineage: Lineage, item: StoredObject, options: argparse.Namespace) -> str:
    """A file that the script wrote itself, under its own path."""
    facts = item.file
    if facts is None or options.to.suffix == ".safetensors":
        raise Refusal("this checkpoint is of files that the script wrote: give a directory")
    path: Path = options.to / facts.path
    with (
        scratch(item.size) as content,
        replacing(path, overwrite=options.overwrite, mode=facts.mode) as out,
    ):
        lineage.place.store.download(item.key, content, item.digests)
        out.write(content)
    return f"{path}  {size(item.size)}"


def _targets(manifest: Manifest, to: Path) -> list[tuple[StoredObject, Path]]:
    states = [item for item in manifest.objects if item.role != FILE]
    if to.suffix == ".safetensors":
        if len(states) > 1:
            raise Refusal(
                f"{short(manifest.id)} has {len(states)} files, one for each process: "
                "give a directory"
            )
        return [(states[0], to)]
    alone = len(states) == 1
    return [(item, to / _name(manifest, item, alone=alone)) for item in states]


def _name(manifest: Manifest, item: StoredObject, *, alone: bool) -> str:
    parsed = keys.parse_data(item.key)
    if alone or parsed is None:
        return f"{short(manifest.id)}.safetensors"
    return f"{short(manifest.id)}-r{parsed[1]}-p{parsed[2]}.safetensors"


def _export(
    lineage: Lineage, manifest: Manifest, item: StoredObject, path: Path,
    *, options: argparse.Namespace,
) -> str:  # fmt: skip
    with scratch(item.size) as payload:
        lineage.place.store.download(item.key, payload, item.digests)
        parsed = layout.parse(payload)
        taken = plain.select(parsed, options.prefix)
        if not taken:
            raise Refusal(
                f"no tensor's name begins with {options.prefix!r}; "
                "`spot-training checkpoints show` lists the names"
            )
        with replacing(path, overwrite=options.overwrite) as file:
            written = plain.write(file, payload, taken, _metadata(manifest))
        with replacing(path.with_suffix(".json"), overwrite=options.overwrite) as file:
            file.write(_state(manifest, parsed.state(payload)))
    return f"{count(len(taken), 'tensor')}, {size(written)}"


def _metadata(manifest: Manifest) -> dict[str, str]:
    return {"checkpoint": manifest.id, "step": str(manifest.step), "by": "spot-training"}


def _state(manifest: Manifest, text: bytes) -> bytes:
    """The typed state; `$` marks what JSON has no type for (see checkpoint/codec.py)."""
    told: dict[str, Any] = {
        "checkpoint": manifest.id,
        "attempt": manifest.attempt,
        "step": manifest.step,
        "samples": manifest.samples,
        "epoch": manifest.epoch,
        "committedAt": manifest.committed_at,
        "state": codec.parse(text),
    }
    return json.dumps(told, indent=2).encode("ascii") + b"\n"
