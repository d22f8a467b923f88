"""Finds what a local attempt resumes from: the sidecar's rules with one process and no gang."""

from __future__ import annotations

import dataclasses
import mmap
import time
from collections.abc import Callable
from typing import TypeVar

from spot_training.backends.backend import Beginning, Done, Fresh, Halt, Restore
from spot_training.checkpoint import keys, records, selection, verify
from spot_training.checkpoint.commit import roll_forward
from spot_training.checkpoint.manifest import Choice, Manifest, Post
from spot_training.checkpoint.records import FormatError
from spot_training.checkpoint.selection import Evidence, Facts, Kind
from spot_training.checkpoint.store import (
    Corrupt,
    Denied,
    Misconfigured,
    NotFound,
    Store,
    Unreachable,
)
from spot_training.exits import tell

_RETRY_SECONDS = 5.0
Result = TypeVar("Result")


def search(
    store: Store,
    *,
    attempt: int,
    node: str,
    now: Callable[[], str],
    pause: Callable[[float], None] = time.sleep,
) -> Beginning:
    """The decision for this attempt; every choice and its outcome is recorded in the store.

    A store in trouble is waited for (saying why): nothing older is taken instead.
    """
    context = _Search(store, attempt, node, now)

    def look() -> Beginning:
        roll_forward(store, committed_at=now())
        return _walk(context, pause)

    try:
        return when_reachable(look, pause)
    except (Corrupt, FormatError) as error:
        return Halt("NoValidCheckpoint", str(error))


def when_reachable(
    action: Callable[[], Result], pause: Callable[[float], None] = time.sleep
) -> Result:
    """What `action` returns once the store can be used; says why it waits."""
    while True:
        try:
            return action()
        except (Unreachable, Denied, Misconfigured) as error:
            tell(f"waiting for the store: {error}")
            pause(_RETRY_SECONDS)


@dataclasses.dataclass(frozen=True, slots=True)
class _Search:
    store: Store
    attempt: int
    node: str
    now: Callable[[], str]

    def facts(self) -> Facts:
        evidence = verify.read_evidence(self.store)
        return verify.look(self.store, Facts(node=self.node, commits=(), evidence=evidence))

    def verdict(self, checkpoint: str) -> selection.Verdict:
        return verify.verdict(self.store, checkpoint, node=self.node)

    def choose(self, k: int, checkpoint: str | None, why: str) -> None:
        choice = Choice(attempt=self.attempt, k=k, id=checkpoint, at=self.now(), why=why)
        self.store.create(keys.choice(self.attempt, k), records.dump(choice))

    def post(self, k: int, checkpoint: str, evidence: Evidence | None) -> None:
        post = Post(
            attempt=self.attempt,
            k=k,
            rank=0,
            id=checkpoint,
            verdict="bad" if evidence else "verified",
            node=self.node,
            at=self.now(),
            kind=str(evidence.kind) if evidence else "",
            detail=evidence.detail if evidence else "",
        )
        verify.write_post(self.store, post)


def _walk(context: _Search, pause: Callable[[float], None]) -> Beginning:
    facts = context.facts()
    k = 0
    while k < selection.MAX_CHOICES:
        decision = selection.select(facts, context.verdict)
        if isinstance(decision, selection.Wait):
            tell(f"waiting: {decision.why}")
            pause(_RETRY_SECONDS)
            continue
        if not isinstance(decision, selection.Resume):
            return _without_checkpoint(context, decision, k)
        found = _try(context, decision.id, k)
        facts = _learned(facts, found, decision.passed, context.node)
        _bury(context, facts)
        if isinstance(found, Restore):
            return found
        k += 1
    return Halt("NoValidCheckpoint", f"{k} candidates failed to verify; look at the store")


def _without_checkpoint(
    context: _Search, decision: selection.FromZero | selection.Completed | selection.Stop, k: int
) -> Beginning:
    if isinstance(decision, selection.Completed):
        return Done(
            f"attempt {decision.attempt} completed this lineage; "
            "set another SPOT_DIR, or delete this one, to train again"
        )
    if isinstance(decision, selection.Stop):
        return Halt(decision.word, decision.reason)
    context.choose(k, None, decision.why)
    return Fresh()


def _try(context: _Search, checkpoint: str, k: int) -> Restore | Evidence:
    """V3: downloads this process's object while hashing it."""
    context.choose(k, checkpoint, "")
    try:
        manifest = verify.read_manifest(context.store, checkpoint)
        restore = _download(context.store, manifest)
    except (Corrupt, FormatError, NotFound) as error:
        kind = Kind.MISSING if isinstance(error, NotFound) else Kind.CONTENT
        evidence = Evidence(checkpoint, kind, context.node, str(error))
        tell(f"checkpoint {checkpoint} is bad: {error}")
        context.post(k, checkpoint, evidence)
        return evidence
    context.post(k, checkpoint, None)
    return restore


def _download(store: Store, manifest: Manifest) -> Restore:
    (item,) = manifest.objects_of(0)
    payload = memoryview(mmap.mmap(-1, max(1, item.size)))[: item.size]
    store.download(item.key, payload, item.digests)
    return Restore(manifest, payload, item.algorithm, dict(item.tensors))


def _learned(
    facts: Facts, found: Restore | Evidence, passed: tuple[Evidence, ...], node: str
) -> Facts:
    if isinstance(found, Evidence):
        return dataclasses.replace(facts, evidence=(*facts.evidence, found))
    return dataclasses.replace(
        facts, evidence=(*facts.evidence, *passed), verified_on=frozenset({node})
    )


def _bury(context: _Search, facts: Facts) -> None:
    buried = verify.quarantine(context.store, facts, attempt=context.attempt, at=context.now())
    for tombstone in buried:
        tell(f"quarantined {tombstone.id}: {'; '.join(tombstone.evidence)}")
