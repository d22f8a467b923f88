"""What every command about checkpoints begins with."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from spot_training.cli.places.place import Place, access_of, add_arguments, open_place
from spot_training.cli.references import resolve
from spot_training.cli.survey import Survey, survey

REFERENCE = "newest, a3-s400 (attempt 3, step 400), or a whole id"


@dataclass(frozen=True, slots=True)
class Lineage:
    """A lineage and what stands in it."""

    place: Place
    found: Survey

    def resolve(self, reference: str) -> str:
        """The id a person means; Refusal if there is none."""
        return resolve(reference, self.found.ids(), self.found.newest())


def open_lineage(options: argparse.Namespace) -> Lineage:
    """Finds the place and reads it."""
    place = open_place(options.where, access_of(options))
    return Lineage(place, survey(place.store))


def add_place(parser: argparse.ArgumentParser) -> None:
    """WHERE and its options."""
    add_arguments(parser)


def add_reference(parser: argparse.ArgumentParser, *, many: bool = False) -> None:
    """The checkpoint that is meant."""
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", nargs="+" if many else None, help=REFERENCE
    )
