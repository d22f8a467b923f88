"""Carries out what `retention` plans, in a store; safe to stop and to repeat at any point.

A checkpoint is deleted receipts first (a complete set without a manifest would be rolled forward
again), then its manifest, which ends it, then data, verification and evidence, and its expiry last:
while that stands, a deletion that was interrupted is taken up again. Its tombstone stays.

The claims are listed once more before each deletion: a process that was stopped for hours and wakes
deletes nothing that a later attempt may have chosen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from spot_training.checkpoint import keys, records, verify
from spot_training.checkpoint.claim import superseded_by
from spot_training.checkpoint.manifest import Choice, Expired, Manifest, Marker
from spot_training.checkpoint.parallel import for_each
from spot_training.checkpoint.records import Damaged
from spot_training.checkpoint.retention import DELAY, Facts, Keep, Plan, Reason, plan
from spot_training.checkpoint.selection import Good, newest_first
from spot_training.checkpoint.store import (
    Cancelled,
    Corrupt,
    Denied,
    Misconfigured,
    NotFound,
    Store,
)
from spot_training.times import parse_rfc3339

_NEWER = "newer ones are verified"


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one pass did. `kept` says why, `waiting` is given up and not deleted yet.

    `freed` are bytes, of checkpoints whose manifest could be read. `refused` is what a store
    answered that denies deletes, or has no clock; empty if it allows them.
    """

    kept: Mapping[str, Reason] = field(default_factory=dict)
    expired: tuple[str, ...] = ()
    taken_back: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    waiting: int = 0
    freed: int = 0
    refused: str = ""


@dataclass(slots=True)
class Pruner:
    """Prunes a lineage for one attempt, again and again.

    `node` is who looks, `now` the time for records (RFC 3339), `pressed` says whether to stop: the
    pass then ends with Cancelled before its next deletion.
    """

    attempt: int
    node: str
    now: Callable[[], str]
    keep: Keep = field(default_factory=Keep)
    delay: float = DELAY
    suspects: Collection[str] = ()
    pressed: Callable[[], bool] = lambda: False
    _committed_at: dict[str, float] = field(default_factory=dict)

    def prune(self, store: Store) -> Pruned:
        """One pass; nothing happens once a later attempt has claimed.

        Raises StoreError for trouble on the way, and records.FormatError for a document that is
        damaged or of a newer version: nothing is deleted that depends on it.
        """
        if superseded_by(store, self.attempt) is not None:
            return Pruned()
        try:
            facts = self._proved(store, self.look(store))
        except Misconfigured as error:
            return Pruned(refused=str(error))
        return self._carry_out(store, facts, plan(facts, self.keep, delay=self.delay))

    def look(self, store: Store) -> Facts:
        """What stands in the lineage now."""
        ages = self._ages(store)  # first: what is committed meanwhile has no expiry
        listed = dict(zip(_LISTED, for_each(_LISTED, store.list), strict=True))
        commits = {str(id_) for key in listed[keys.COMMITS] if (id_ := keys.parse_commit(key))}
        markers = [key for key in listed[keys.MARKERS] if keys.parse_marker(key) is not None]
        choices = [key for key in store.list(keys.choices(self.attempt)) if keys.parse_choice(key)]
        results = [records.load(Marker, body).id for body in for_each(markers, store.read)]
        chosen = [records.load(Choice, body).id for body in for_each(choices, store.read)]
        facts = Facts(
            attempt=self.attempt,
            highest=self.attempt,
            commits=commits,
            verified=_ids(keys.parse_verified, listed[keys.VERIFIED]),
            doubted=_ids(keys.parse_evidence, listed[keys.EVIDENCE]),
            tombstones=_ids(keys.parse_tombstone, listed[keys.TOMBSTONES]),
            pins=_ids(keys.parse_pin, listed[keys.PINS]),
            suspects=self.suspects,
            results=results,
            origins=[id_ for id_ in chosen if id_],
            expired=ages,
        )
        return dataclasses.replace(facts, committed_at=self._times(store, facts))

    def _ages(self, store: Store) -> dict[str, float]:
        if not self.delay:
            return dict.fromkeys(_ids(keys.parse_expired, store.list(keys.EXPIRED)), 0.0)
        written = store.written(keys.EXPIRED)
        return {id_: written.age(key) for key in written.at if (id_ := keys.parse_expired(key))}

    def _times(self, store: Store, facts: Facts) -> dict[str, float]:
        """By the manifests, which never change: a copy of a bucket is younger than they are."""
        if self.keep.milestone_every is None:
            return {}

        def read(checkpoint: str) -> None:
            try:
                manifest = verify.read_manifest(store, checkpoint)
            except (NotFound, Corrupt, Damaged):
                return  # no milestone
            self._committed_at[checkpoint] = parse_rfc3339(manifest.committed_at).timestamp()

        for_each([id_ for id_ in facts.whole if id_ not in self._committed_at], read)
        return dict(self._committed_at)

    def _proved(self, store: Store, facts: Facts) -> Facts:
        """Looks at the newest that nobody has verified: their sidecar may have died before."""
        unproved = set(facts.commits) - set(facts.tombstones) - set(facts.doubted)
        floor = facts.whole[self.keep.newest - 1 : self.keep.newest]
        order = newest_first(unproved - set(facts.verified) | set(floor))
        wanted = order[: order.index(floor[0])] if floor else order
        proved = {id_ for id_ in wanted[: self.keep.newest] if self._prove(store, id_)}
        return dataclasses.replace(facts, verified={*facts.verified, *proved})

    def _prove(self, store: Store, checkpoint: str) -> bool:
        self._expect_time(checkpoint)
        verdict = verify.prove(store, checkpoint, node=self.node, at=self.now())
        return isinstance(verdict, Good)

    def _sure(self, store: Store, facts: Facts) -> Facts:
        """`facts` with as many verified ones as count, looked at once more (V0 to V2).

        One that cannot be seen to be whole, for whatever reason, counts for nothing now.
        """
        whole: list[str] = []
        for checkpoint in facts.whole:
            self._expect_time(checkpoint)
            if isinstance(verify.verdict(store, checkpoint, node=self.node), Good):
                whole.append(checkpoint)
            if len(whole) == self.keep.newest:
                break
        return dataclasses.replace(facts, verified=whole)

    def _still_due(self, store: Store, facts: Facts, due: Collection[str]) -> list[str]:
        """What was given up for the sake of newer ones goes only if those are whole today."""
        if not due:
            return []
        again = plan(self._sure(store, facts), self.keep, delay=self.delay)
        return [checkpoint for checkpoint in due if checkpoint in again.delete]

    def _carry_out(self, store: Store, facts: Facts, wanted: Plan) -> Pruned:
        done = Pruned(kept=wanted.kept)
        try:
            for checkpoint in wanted.take_back:
                store.delete(keys.expired(checkpoint))
                done = dataclasses.replace(done, taken_back=(*done.taken_back, checkpoint))
            for checkpoint in wanted.expire:
                if self._give_up(store, checkpoint):
                    done = dataclasses.replace(done, expired=(*done.expired, checkpoint))
            for checkpoint in self._still_due(store, facts, wanted.delete):
                done = self._delete(store, facts, checkpoint, done)
        except (Denied, Misconfigured) as error:
            done = dataclasses.replace(done, refused=str(error))
        waiting = {*facts.expired, *done.expired} - {*done.taken_back, *done.deleted}
        return dataclasses.replace(done, waiting=len(waiting))

    def _give_up(self, store: Store, checkpoint: str) -> bool:
        self._expect_time(checkpoint)
        if superseded_by(store, self.attempt) is not None:
            return False
        word = Expired(id=checkpoint, attempt=self.attempt, why=_NEWER, at=self.now())
        return store.create(keys.expired(checkpoint), records.dump(word))

    def _delete(self, store: Store, facts: Facts, checkpoint: str, done: Pruned) -> Pruned:
        self._expect_time(checkpoint)

        def may_go() -> bool:
            stands = checkpoint in facts.commits  # else a pin has nothing to keep any more
            pinned = stands and bool(store.list(keys.pin(checkpoint)))
            return not pinned and superseded_by(store, self.attempt) is None

        size = _size(store, checkpoint)
        if not delete_checkpoint(store, checkpoint, may_go=may_go):
            return done
        deleted = (*done.deleted, checkpoint)
        return dataclasses.replace(done, deleted=deleted, freed=done.freed + size)

    def _expect_time(self, checkpoint: str) -> None:
        if self.pressed():
            raise Cancelled(f"{checkpoint}: left for later: something more urgent came")


def delete_checkpoint(
    store: Store, checkpoint: str, *, may_go: Callable[[], bool] = lambda: True
) -> bool:
    """Deletes it in the order that a crash cannot harm; False if `may_go` says no in time.

    Without its receipts it is as whole as before, so that is asked until the manifest goes.
    """
    for ending in (keys.receipts(checkpoint), keys.commit(checkpoint)):
        if not may_go():
            return False
        for_each(store.list(ending), store.delete)
    for_each(store.list(keys.data_of(checkpoint)), store.delete)
    for_each(store.list(keys.evidence_of(checkpoint)), store.delete)
    for rest in (keys.verified(checkpoint), keys.expired(checkpoint)):
        for_each(store.list(rest), store.delete)
    return True


def _ids(parse: Callable[[str], str | None], found: Collection[str]) -> set[str]:
    return {checkpoint for key in found if (checkpoint := parse(key))}


def _size(store: Store, checkpoint: str) -> int:
    try:
        return records.load(Manifest, store.read(keys.commit(checkpoint))).cost.bytes
    except (NotFound, Corrupt, records.FormatError):
        return 0


_LISTED = (
    keys.COMMITS, keys.VERIFIED, keys.EVIDENCE, keys.TOMBSTONES, keys.PINS, keys.MARKERS,
)  # fmt: skip
