"""What an attempt resumes from. Pure: facts in, a decision out; effects are in `verify`.

Rules (I5: the newest checkpoint that verifies, or the job stops with the reason):
- candidates newest first by (attempt, step); tombstones and suspects are passed over
- a verdict is Good, Bad (by evidence) or Unknown (trouble on the way). An Unknown candidate is
  never passed over: nothing older is taken because something newer could not be seen
- the last candidates are not given up on the word of one node, whose memory may be bad: BadNode
- from zero only if status records no commit and the store has neither manifest nor tombstone
- quarantine by definite evidence only, see `confirmed`
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from spot_training.checkpoint.keys import CheckpointId

MAX_CHOICES = 16


class Kind(StrEnum):
    """What a piece of evidence rests on."""

    MISSING = "missing"  # NoSuchKey while the format record reads
    SERVER = "server"  # the size or checksum that the server tells
    CONTENT = "content"  # bytes that were read here differ, twice


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something is wrong with checkpoint `id`, as seen on `node`."""

    id: str
    kind: Kind
    node: str
    detail: str


@dataclass(frozen=True, slots=True)
class Good:
    """The manifest reads (V0), sizes (V1) and stored checksums (V2) agree."""


@dataclass(frozen=True, slots=True)
class Bad:
    """The candidate is not whole."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Unknown:
    """It could not be seen, or needs a newer reader: `why` tells what to change."""

    why: str
    retry: bool = True


Verdict = Good | Bad | Unknown


@dataclass(frozen=True, slots=True)
class Resume:
    """Resume from `id`; `passed` is the evidence against newer ones, met on the way."""

    id: str
    passed: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class FromZero:
    """Start from zero; `virgin`: nothing was ever committed."""

    why: str
    passed: tuple[Evidence, ...] = ()
    virgin: bool = False


@dataclass(frozen=True, slots=True)
class Completed:
    """An earlier attempt completed the job."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Wait:
    """The newest candidate cannot be judged now: look again later."""

    why: str


@dataclass(frozen=True, slots=True)
class Stop:
    """The attempt ends: `word` is NoValidCheckpoint, BadNode or UnsupportedCheckpoint."""

    word: str
    reason: str
    passed: tuple[Evidence, ...] = ()


Decision = Resume | FromZero | Completed | Wait | Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything a choice depends on.

    `commits` the ids with a manifest, `recorded` the newest that the job's status records,
    `evidence` what posts of this and earlier attempts and this process found bad (V3),
    `verified_on` the nodes on which some candidate was verified (V3) in this attempt.
    `inherited` names the other job's lineage that all this is about: the job asked to go on from
    it, so that its being empty is no reason to start from zero.
    """

    node: str
    commits: Collection[str]
    tombstones: Collection[str] = ()
    markers: Collection[int] = ()
    suspects: Sequence[str] = ()
    recorded: str | None = None
    start_fresh: bool = False
    evidence: Sequence[Evidence] = ()
    verified_on: Collection[str] = ()
    inherited: str = ""


def newest_first(ids: Iterable[str]) -> list[str]:
    """Ids by (attempt, step), newest first."""
    return sorted(set(ids), key=CheckpointId.parse, reverse=True)


def select(facts: Facts, verdict_of: Callable[[str], Verdict]) -> Decision:
    """What to resume from now; `verdict_of` is asked for as few candidates as possible."""
    if facts.markers:
        return Completed(max(facts.markers))
    if is_bad_node(facts):
        return Stop("BadNode", _bad_node_reason(facts))
    candidates = _candidates(facts)
    passed: list[Evidence] = []
    for id_ in candidates:
        verdict = verdict_of(id_)
        if isinstance(verdict, Unknown):
            return _unseen(verdict, id_)
        if isinstance(verdict, Good):
            return Resume(id_, tuple(passed))
        passed.append(verdict.evidence)
    return _nothing_left(facts, tuple(passed))


def is_bad_node(facts: Facts) -> bool:
    """Two candidates failed to verify on this node, and nothing has confirmed that they are bad."""
    return len(_failed_here_only(facts)) >= 2


def confirmed(facts: Facts) -> list[Evidence]:
    """The evidence that quarantines, one piece per checkpoint.

    Missing data is definite by itself. A digest that differs is definite once a second node saw it
    as well, or once another candidate verified on a node that saw it. A node that condemns two
    candidates which no other node condemned condemns itself.
    """
    nodes: dict[str, set[str]] = {}
    for item in facts.evidence:
        nodes.setdefault(item.id, set()).add(item.node)
    verdicts: dict[str, Evidence] = {}
    for item in facts.evidence:
        definite = (
            item.kind is Kind.MISSING
            or len(nodes[item.id]) > 1
            or (item.node in facts.verified_on and not is_bad_node(facts))
        )
        if definite and item.id not in facts.tombstones:
            verdicts.setdefault(item.id, item)
    return list(verdicts.values())


def _candidates(facts: Facts) -> list[str]:
    known = set(facts.commits) | ({facts.recorded} if facts.recorded else set())
    failed = {item.id for item in facts.evidence if item.node == facts.node}
    failed |= {item.id for item in confirmed(facts)}
    passed_over = failed | set(facts.tombstones) | set(facts.suspects)
    return newest_first(known - passed_over)


def _failed_here_only(facts: Facts) -> set[str]:
    content = [item for item in facts.evidence if item.kind is Kind.CONTENT]
    here = {item.id for item in content if item.node == facts.node}
    elsewhere = {item.id for item in content if item.node != facts.node}
    return here - elsewhere - set(facts.tombstones)


def _unseen(verdict: Unknown, id_: str) -> Decision:
    if verdict.retry:
        return Wait(f"{id_}: {verdict.why}")
    return Stop("UnsupportedCheckpoint", f"{id_}: {verdict.why}")


def _nothing_left(facts: Facts, passed: tuple[Evidence, ...]) -> Decision:
    empty = facts.recorded is None and not facts.commits and not facts.tombstones
    if empty and not facts.inherited:
        return FromZero("no checkpoint was ever committed", passed, virgin=True)
    if _failed_here_only(facts):
        return Stop("BadNode", _bad_node_reason(facts), passed)
    if facts.start_fresh:
        return FromZero("no checkpoint is valid, and the job asks to start fresh then", passed)
    return Stop("NoValidCheckpoint", _none_valid_reason(facts, passed), passed)


def _none_valid_reason(facts: Facts, passed: tuple[Evidence, ...]) -> str:
    parts = [f"{item.id}: {item.detail}" for item in (*passed, *facts.evidence)]
    parts += [f"{id_} is quarantined" for id_ in facts.tombstones]
    parts += [f"{id_} is suspect: attempts that resumed from it failed" for id_ in facts.suspects]
    if facts.recorded and not facts.commits and not parts:
        parts.append(f"status records {facts.recorded}, the store has no commit: was it emptied?")
    if facts.inherited:
        return _none_inherited_reason(facts.inherited, parts)
    return "no checkpoint is valid (" + "; ".join(parts) + "); restore one, or set onNoneValid"


def _none_inherited_reason(lineage: str, parts: Sequence[str]) -> str:
    found = "; ".join(parts) or "the store holds none there"
    return (
        f"no checkpoint of {lineage}, which resumeFrom names, is valid ({found}); look at its "
        "namespace, name and uid, or set onNoneValid: StartFresh, and create the job anew"
    )


def _bad_node_reason(facts: Facts) -> str:
    failed = ", ".join(newest_first(_failed_here_only(facts)))
    return f"node {facts.node} failed to verify {failed}; nothing is quarantined"
