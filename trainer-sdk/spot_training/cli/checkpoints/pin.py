"""`checkpoints pin` and `unpin`: a person's word that a checkpoint must stay."""

from __future__ import annotations

import argparse
import getpass
import socket

from spot_training.checkpoint import keys, records
from spot_training.checkpoint.manifest import Pin
from spot_training.cli.checkpoints.common import add_place, add_reference, open_lineage
from spot_training.cli.codes import OK, Refusal
from spot_training.cli.references import short
from spot_training.times import rfc3339, utc_now

SUMMARY = "keep checkpoints, whatever retention would do"
UNPIN_SUMMARY = "leave checkpoints to retention again"
DETAILS = """\
A pin says who wants it and why; `--why` is shown to whoever asks. It also saves a checkpoint that
retention has given up, for as long as it stands."""


def add(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    add_reference(parser, many=True)
    parser.add_argument("--why", default="", help="what the checkpoint is kept for")


def add_unpin(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    add_reference(parser, many=True)


def handle(options: argparse.Namespace) -> int:
    lineage = open_lineage(options)
    for checkpoint in [lineage.resolve(reference) for reference in options.checkpoint]:
        if checkpoint not in lineage.found.manifests:
            raise Refusal(
                f"{short(checkpoint)} cannot be kept: {lineage.found.why_unread(checkpoint)}"
            )
        store = lineage.place.store
        pin = Pin(id=checkpoint, by=_person(), why=options.why, at=rfc3339(utc_now()))
        if checkpoint not in lineage.found.pins:
            store.create(keys.pin(checkpoint), records.dump(pin))
        if checkpoint in lineage.found.expired:
            store.delete(keys.expired(checkpoint))
        if not store.list(keys.commit(checkpoint)):
            store.delete(keys.pin(checkpoint))
            raise Refusal(f"{short(checkpoint)} was deleted meanwhile: it was given up before")
        print(f"{short(checkpoint)} is pinned")
    return OK


def handle_unpin(options: argparse.Namespace) -> int:
    lineage = open_lineage(options)
    for checkpoint in [lineage.resolve(reference) for reference in options.checkpoint]:
        lineage.place.store.delete(keys.pin(checkpoint))
        print(f"{short(checkpoint)} is not pinned")
    return OK


def _person() -> str:
    """Who types; a container's user may have no name."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return f"{name}@{socket.gethostname()}"
