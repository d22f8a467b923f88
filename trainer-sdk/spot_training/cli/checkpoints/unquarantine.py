"""`checkpoints unquarantine`: takes a tombstone back, after proof."""

from __future__ import annotations

import argparse

from spot_training.backends.local import node_identity
from spot_training.checkpoint import keys
from spot_training.cli.checkpoints.common import add_place, add_reference, open_lineage
from spot_training.cli.checkpoints.verify import words
from spot_training.cli.codes import OK, Refusal
from spot_training.cli.examine import examine
from spot_training.cli.references import short

SUMMARY = "take a checkpoint out of quarantine, once it verifies"
DETAILS = """\
The checkpoint is verified first, every byte (V0 to V3). If it is whole, the evidence against it and
its tombstone are deleted, and it may be chosen again. If it is still bad nothing changes.

--force does it all the same. The next attempt then downloads it, finds it bad, takes the one before
and quarantines it anew: time is lost, but what is loaded is verified in any case."""


def add(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    add_reference(parser)
    parser.add_argument("--force", action="store_true", help="although it is still bad; see below")


def handle(options: argparse.Namespace) -> int:
    lineage = open_lineage(options)
    found, store = lineage.found, lineage.place.store
    checkpoint = lineage.resolve(options.checkpoint)
    if checkpoint not in found.tombstones:
        raise Refusal(f"{short(checkpoint)} is not in quarantine: there is nothing to take back")
    result = examine(store, checkpoint, node=node_identity())
    print("\n".join(words(result)))
    if not result.proved and not options.force:
        raise Refusal(
            f"{short(checkpoint)} stays in quarantine: it does not verify; restore its objects "
            "from a copy, or give --force (see --help for what that means)"
        )
    against = (*found.bad_posts.get(checkpoint, ()), *store.list(keys.evidence_of(checkpoint)))
    for key in against:  # else the next attempt would bury it again
        store.delete(key)
    store.delete(keys.tombstone(checkpoint))
    print(f"{short(checkpoint)} may be chosen again")
    return OK
