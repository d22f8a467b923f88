"""What must come of a lineage, by the oracle, and what came of it, by its attempts."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from campaigns.corruption.place import Place
from campaigns.corruption.site import Ending
from campaigns.oracle import order_of

Json = dict[str, Any]
RESUMED, STOPPED, FINISHED, FRESH = "resumed", "NoValidCheckpoint", "Finished", "fresh"
BAD_NODE = "BadNode"


@dataclass(frozen=True, slots=True)
class Expected:
    """By the files before anybody looks."""

    word: str
    """`resumed`, or the reason to stop, or `fresh`: from zero."""
    chosen: str | None
    whole: frozenset[str]
    """What may never be quarantined."""
    bad_nodes: int
    """How many attempts may end as BadNode on the way: only reading finds some kinds of damage."""

    @classmethod
    def of(cls, place: Place, recorded: str | None) -> Expected:
        """`recorded` is the newest commit in the job's status."""
        seen = place.seen
        valid, rotten = seen.valid_ids(), seen.rotten_ids()
        buried = seen.quarantined()
        whole = frozenset(valid)
        if not seen.is_readable():
            return cls(STOPPED, None, whole, 0)
        if list((place.root / "complete").glob("*.json")):
            return cls(FINISHED, None, whole, 0)
        newest = next(iter(valid), None)
        newer = [
            one
            for one in rotten
            if one not in buried and (not newest or order_of(one) > order_of(newest))
        ]
        allowed = len(newer) if len(newer) > 1 or not newest else 0
        if newest:
            return cls(RESUMED, newest, whole, allowed)
        empty = recorded is None and not buried and not list((place.root / "commits").glob("*"))
        return cls(FRESH if empty else STOPPED, None, whole, allowed)


@dataclass(slots=True)
class Account:
    """What a case showed. Everything in `wrong` is a broken promise, in words."""

    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    wrong: list[str] = field(default_factory=list)

    def to_json(self) -> Json:
        return {"counts": dict(self.counts), "wrong": self.wrong}

    def expect(self, what: str, words: str, *, kept: bool) -> None:
        """Count a promise, and how often it was broken."""
        self.counts[what] += 1
        if not kept:
            self.counts[f"broken: {what}"] += 1
            self.wrong.append(f"{what}: {words}")

    def judge(self, expected: Expected, endings: Sequence[Ending], place: Place) -> None:
        """Compare the attempts' endings with what must come of them."""
        last, words = endings[-1], f"{endings}, expected {expected}"
        self.counts["attempts"] += len(endings)
        self.counts[f"ended {last.word if last.chosen or last.word != RESUMED else FRESH}"] += 1
        bad_nodes = [one for one in endings[:-1] if one.word == BAD_NODE]
        self.expect("on the way only what must be", words,
                    kept=len(bad_nodes) == len(endings) - 1 <= expected.bad_nodes)  # fmt: skip
        self.expect("nothing whole is quarantined", words,
                    kept=not place.seen.quarantined() & expected.whole)  # fmt: skip
        if last.word == RESUMED:
            self.expect("the state is that of its step", words, kept=not last.wrong)
            self.expect("nothing damaged is taken", words,
                        kept=last.chosen is None or last.chosen in expected.whole)  # fmt: skip
        if expected.word == RESUMED:
            self.expect(
                "the newest valid one is resumed", words, kept=self._is_newest(expected, last)
            )
        else:
            word = FRESH if last.word == RESUMED and not last.chosen else last.word
            self.expect("it stops with the right reason", words, kept=word == expected.word)

    def _is_newest(self, expected: Expected, last: Ending) -> bool:
        right = last.word == RESUMED and last.chosen == expected.chosen
        return right and last.step == order_of(str(last.chosen))[1]
