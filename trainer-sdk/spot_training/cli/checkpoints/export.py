"""`checkpoints export`: plain safetensors that any tool reads, and the typed state as JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from spot_training.checkpoint import codec, keys, layout
from spot_training.checkpoint.manifest import Manifest, StoredObject
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

  spot-training checkpoints export ./spot-checkpoints newest --to model.safetensors --prefix model/
  python -c 'from safetensors.torch import load_file; print(load_file("model.safetensors").keys())'
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
    for item, path in _targets(manifest, options.to):
        taken = _export(lineage, manifest, item, path, options=options)
        print(f"{path}  {taken}")
    return OK


def _readable(lineage: Lineage, checkpoint: str) -> Manifest:
    manifest = lineage.found.manifests.get(checkpoint)
    if manifest is None:
        why = lineage.found.unreadable.get(checkpoint, "it has no manifest")
        raise Refusal(f"{short(checkpoint)} cannot be exported: {why}")
    return manifest


def _targets(manifest: Manifest, to: Path) -> list[tuple[StoredObject, Path]]:
    if to.suffix == ".safetensors":
        if len(manifest.objects) > 1:
            raise Refusal(
                f"{short(manifest.id)} has {len(manifest.objects)} files, one for each process: "
                "give a directory"
            )
        return [(manifest.objects[0], to)]
    return [(item, to / _name(manifest, item)) for item in manifest.objects]


def _name(manifest: Manifest, item: StoredObject) -> str:
    parsed = keys.parse_data(item.key)
    if len(manifest.objects) == 1 or parsed is None:
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
