"""`checkpoints ls`: every checkpoint of a lineage, newest first."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from datetime import datetime

from spot_training.checkpoint.manifest import Manifest
from spot_training.cli.checkpoints.common import add_place, open_lineage
from spot_training.cli.codes import OK
from spot_training.cli.references import short
from spot_training.cli.states import MEANINGS, Row, rows
from spot_training.cli.text import age, size, table
from spot_training.times import parse_rfc3339, utc_now

SUMMARY = "list the checkpoints of a lineage, newest first"
DETAILS = MEANINGS

_NARROW = ("CHECKPOINT", "STATE", "SAMPLES", "AGE", "SIZE", "REASON", "PARENT")
_WIDE = (
    "ID", "STATE", "ATTEMPT", "STEP", "SAMPLES", "EPOCH", "COMMITTED", "AGE", "SIZE", "STALL",
    "UPLOAD", "REASON", "KEPT", "PARENT",
)  # fmt: skip
_RIGHT = "ATTEMPT STEP SAMPLES EPOCH AGE SIZE STALL UPLOAD"


def add(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument("-o", "--output", choices=("table", "wide", "json"), default="table")


def handle(options: argparse.Namespace) -> int:
    lineage = open_lineage(options)
    listed = rows(lineage.found, lineage.place.suspects, lineage.place.keep)
    if options.output == "json":
        print(json.dumps([row.to_json() for row in listed], indent=2))
    elif not listed:
        print(f"{lineage.place.title} has no checkpoint yet")
    else:
        print("\n".join(lines(listed, now=utc_now(), wide=options.output == "wide")))
    return OK


def lines(listed: Sequence[Row], *, now: datetime, wide: bool) -> list[str]:
    """The table; `-` where nothing can be known without a manifest."""
    if wide:
        return table(_WIDE, [_wide(row, now) for row in listed], right=_RIGHT)
    return table(_NARROW, [_narrow(row, now) for row in listed], right=_RIGHT)


def _narrow(row: Row, now: datetime) -> list[str]:
    known = row.manifest
    if known is None:
        return [short(row.id), row.words, *["-"] * 5]
    return [
        short(row.id),
        row.words,
        str(known.samples),
        age(parse_rfc3339(known.committed_at), now),
        size(known.cost.bytes),
        known.reason,
        _parent(known, lambda lineage: lineage.split("/")[1], short),
    ]


def _wide(row: Row, now: datetime) -> list[str]:
    facts, known = row.to_json(), row.manifest
    begin = [row.id, row.words, str(facts["attempt"]), str(facts["step"])]
    if known is None:
        return [*begin, *["-"] * 10]
    return [
        *begin,
        str(known.samples),
        str(known.epoch),
        known.committed_at[:19] + "Z",
        age(parse_rfc3339(known.committed_at), now),
        size(known.cost.bytes),
        f"{known.cost.stall_seconds:.3f}s",
        f"{known.cost.upload_seconds:.2f}s",
        known.reason,
        row.kept or "-",
        _parent(known, str, str),
    ]


def _parent(known: Manifest, job: Callable[[str], str], shown: Callable[[str], str]) -> str:
    """What it continues, with the job whose checkpoint that was, if it was another's."""
    if known.parent is None:
        return "-"
    parent = shown(known.parent)
    return f"{job(known.parent_lineage)}:{parent}" if known.parent_lineage else parent
