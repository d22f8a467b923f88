"""What an attempt resumes from. Pure: facts in, a decision out; effects are in `verify`.

Rules (I5: the newest checkpoint that verifies, or the job stops with the reason):
- candidates newest first by (attempt, step); tombstones and suspects are passed over
- a verdict is Good, Bad (by evidence) or Unknown (trouble on the way). An Unknown candidate is
  never passed over: nothing older is taken because something newer could not be seen
- the last candidates are not given up on the word of one node, whose memory may be bad: BadNode,
  said by the rank that is there, whichever it is
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
    """The attempt ends: `word` is NoValidCheckpoint, BadNode or UnsupportedCheckpoint.

    `node` is the bad one: the rank there ends the attempt, every other one lets it do so.
    """

    word: str
    reason: str
    passed: tuple[Evidence, ...] = ()
    node: str = ""


Decision = Resume | FromZero | Completed | Wait | Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything a choice depends on.

    `node` is that of the rank which chooses: what failed there before is not tried again. It is
    empty where another rank asks whether its own node is what is bad.
    `commits` the ids with a manifest, `recorded` the newest that the job's status records,
    `evidence` what posts of this and earlier attempts and this process found bad (V3),
    `tried` what this attempt has chosen before, which some rank found bad, `gang` the nodes of the
    ranks that did, `verified_on` the nodes on which a candidate, `verified` if it is known which,
    was verified (V3) in this attempt.
    `inherited` names the other job's lineage that all this is about: the job asked to go on from
    it, so that its being empty is not a reason to start from zero.
    """

    node: str
    commits: Collection[str]
    tombstones: Collection[str] = ()
    markers: Collection[int] = ()
    suspects: Sequence[str] = ()
    recorded: str | None = None
    start_fresh: bool = False
    evidence: Sequence[Evidence] = ()
    tried: Collection[str] = ()
    gang: Collection[str] = ()
    verified_on: Collection[str] = ()
    verified: str | None = None
    inherited: str = ""


def newest_first(ids: Iterable[str]) -> list[str]:
    """Ids by (attempt, step), newest first."""
    return sorted(set(ids), key=CheckpointId.parse, reverse=True)


def select(facts: Facts, verdict_of: Callable[[str], Verdict]) -> Decision:
    """What to resume from now; `verdict_of` is asked for as few candidates as possible."""
    if facts.markers:
        return Completed(max(facts.markers))
    if stop := _bad_node(facts, failed=2):
        return stop
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


def confirmed(facts: Facts) -> list[Evidence]:
    """The evidence that quarantines, one piece per checkpoint.

    Missing data is definite by itself. A digest that differs is definite once a second node saw it
    as well, or once another candidate verified on a node that saw it. A node that condemns two
    candidates which no other node condemned condemns itself. What verified is not condemned.
    """
    nodes: dict[str, set[str]] = {}
    for item in facts.evidence:
        nodes.setdefault(item.id, set()).add(item.node)
    verdicts: dict[str, Evidence] = {}
    for item in facts.evidence:
        definite = (
            item.kind is Kind.MISSING
            or len(nodes[item.id]) > 1
            or (item.node in facts.verified_on and len(_failed_alone(facts, item.node)) < 2)
        )
        if definite and item.id not in facts.tombstones and item.id != facts.verified:
            verdicts.setdefault(item.id, item)
    return list(verdicts.values())


def _candidates(facts: Facts) -> list[str]:
    known = set(facts.commits) | ({facts.recorded} if facts.recorded else set())
    failed = {item.id for item in facts.evidence if item.node == facts.node}
    failed |= {item.id for item in confirmed(facts)}
    passed_over = failed | set(facts.tombstones) | set(facts.suspects) | set(facts.tried)
    return newest_first(known - passed_over)


def _bad_node(facts: Facts, *, failed: int, passed: tuple[Evidence, ...] = ()) -> Stop | None:
    """BadNode if on one node of the gang, this one first, as many candidates failed alone."""
    for node in (facts.node, *sorted(facts.gang)):
        alone = _failed_alone(facts, node)
        if len(alone) >= failed:
            ids = ", ".join(newest_first(alone))
            reason = f"node {node} failed to verify {ids}; nothing is quarantined"
            return Stop("BadNode", reason, passed, node)
    return None


def _failed_alone(facts: Facts, node: str) -> set[str]:
    """What failed to verify on this node, and nothing has confirmed that it is bad."""
    content = [item for item in facts.evidence if item.kind is Kind.CONTENT]
    there = {item.id for item in content if item.node == node}
    elsewhere = {item.id for item in content if item.node != node}
    return there - elsewhere - set(facts.tombstones)


def _unseen(verdict: Unknown, id_: str) -> Decision:
    if verdict.retry:
        return Wait(f"{id_}: {verdict.why}")
    return Stop("UnsupportedCheckpoint", f"{id_}: {verdict.why}")


def _nothing_left(facts: Facts, passed: tuple[Evidence, ...]) -> Decision:
    empty = facts.recorded is None and not facts.commits and not facts.tombstones
    if empty and not facts.inherited:
        return FromZero("no checkpoint was ever committed", passed, virgin=True)
    if stop := _bad_node(facts, failed=1, passed=passed):
        return stop
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
        "namespace, name and uid, or set onNoneValid: StartFresh, and create the job again"
    )
