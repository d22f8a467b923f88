"""`checkpoints rm`: deletes checkpoints for good, unless there is a reason to keep them."""

from __future__ import annotations

import argparse

from spot_training.checkpoint import keys
from spot_training.checkpoint.pruning import delete_checkpoint
from spot_training.cli.checkpoints.common import Lineage, add_place, add_reference, open_lineage
from spot_training.cli.codes import BAD, OK, USAGE, Refusal
from spot_training.cli.references import short
from spot_training.cli.refusals import why_refused
from spot_training.cli.states import row
from spot_training.cli.survey import Survey
from spot_training.cli.text import size

SUMMARY = "delete checkpoints for good"
DETAILS = """\
Refused is what retention never deletes: the newest valid one, pinned ones, the newest that was
verified, what the job completed with, and what a running attempt resumed from (its claim is younger
than an hour, or its process holds the directory) until it has verified one of its own. One refusal,
and nothing is deleted.

Receipts go first, then the manifest, then the data: a crash in between leaves no half checkpoint.
The tombstone of a quarantined checkpoint stays: it says that the lineage did not begin empty."""


def add(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    add_reference(parser, many=True)
    parser.add_argument("--yes", action="store_true", help="delete; without it they are only named")


def handle(options: argparse.Namespace) -> int:
    lineage = open_lineage(options)
    chosen = list(dict.fromkeys(lineage.resolve(name) for name in options.checkpoint))
    kept = _kept(lineage, chosen)
    if kept:
        raise Refusal("\n".join(["nothing is deleted:", *kept]), BAD)
    print("\n".join(_named(lineage.found, chosen)))
    if not options.yes:
        print("nothing is deleted yet: give --yes to delete for good")
        return USAGE
    for checkpoint in chosen:
        delete_checkpoint(lineage.place.store, checkpoint)
        print(f"{short(checkpoint)} is deleted")
    return OK


def _kept(lineage: Lineage, chosen: list[str]) -> list[str]:
    live, claim_age = lineage.place.live(), _claim_age(lineage)
    return [
        f"  {short(checkpoint)}: {reason}"
        for checkpoint in chosen
        for reason in why_refused(lineage.found, checkpoint, live=live, claim_age=claim_age)
    ]


def _claim_age(lineage: Lineage) -> float | None:
    """By the store's own clock: this machine's may be wrong."""
    claim = lineage.found.claim
    if claim is None:
        return None
    return lineage.place.store.written(keys.claims(claim.attempt)).age(
        keys.claim(claim.attempt, claim.rank)
    )


def _named(found: Survey, chosen: list[str]) -> list[str]:
    listed = []
    for checkpoint in chosen:
        shown = row(found, checkpoint)
        room = f", {size(shown.manifest.cost.bytes)}" if shown.manifest else ""
        listed.append(f"{short(checkpoint)}  {shown.words}{room}")
    return listed
