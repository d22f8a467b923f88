"""Finds what this attempt resumes from: the SDK's rules, this pod's eyes, one rank's part.

Rank 0 chooses (roll forward, look, select), every rank fetches and posts. A choice that some rank
found bad is followed by the next one; what is found bad is quarantined once the evidence is
definite. Trouble on the way is waited out: nothing older is taken because something newer could not
be seen, and nothing ever starts from zero because the store was silent.
"""

import dataclasses
import logging
from collections.abc import Callable
from functools import partial

from spot_training.checkpoint import commit, keys, records, selection, verify
from spot_training.checkpoint.manifest import Choice, Manifest, Tombstone
from spot_training.checkpoint.selection import Evidence, Facts, Kind
from spot_training.checkpoint.store import Corrupt, NotFound, Store, StoreError

from spot_sidecar.clock import between, timestamp
from spot_sidecar.lineage import Lineage
from spot_sidecar.resume.ballot import Ballot, Votes
from spot_sidecar.resume.decision import (
    Begin,
    Bringing,
    Decision,
    Finish,
    FromCheckpoint,
    Halt,
)
from spot_sidecar.resume.grant import Grant
from spot_sidecar.standing import Standing

__all__ = ["Search"]

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = (2.0, 5.0)
"""Between two looks at a candidate that could not be seen, or at what other ranks posted."""
SILENCE_SECONDS = 600.0
"""A rank that neither posts nor progresses for so long ends the attempt."""


class Search:
    """One attempt's search, by one rank."""

    def __init__(
        self, lineage: Lineage, standing: Standing, fetch: Bringing, ballot: Ballot, *, ranks: int
    ) -> None:
        self._lineage = lineage
        self._standing = standing
        self._fetch = fetch
        self._ballot = ballot
        self._ranks = ranks
        self._passed: tuple[Evidence, ...] = ()

    async def open(self, grant: Grant) -> Halt | None:
        """Open the lineage, beginning it if the job never committed.

        A lineage that is empty although the job's status records a commit is not begun anew: it may
        be the wrong one, and what is missing may come back.
        """
        begin = grant.newest is None or grant.start_fresh
        halt = await self._lineage.patiently(partial(_open, begin=begin, now=self._now()))
        if halt and grant.newest:
            return Halt("NoValidCheckpoint", f"status records {grant.newest.id}, but {halt}")
        return Halt("NoValidCheckpoint", halt) if halt else None

    async def decide(self, grant: Grant) -> Decision:
        """What to resume from.

        Raises:
            StagingTooSmallError: the checkpoint does not fit the shared memory.
            records.FormatError: a document of this attempt is damaged or of a newer version.
        """
        facts = Facts(
            node=self._ballot.node,
            commits=(),
            suspects=grant.suspects,
            recorded=grant.newest.id if grant.newest else None,
            start_fresh=grant.start_fresh,
        )
        completed = await self._lineage.patiently(partial(verify.look, facts=facts))
        if completed.markers:
            return Finish(max(completed.markers))
        newest = await self._lineage.patiently(self._ballot.newest)
        return await self._walk(facts, newest)

    async def _walk(self, facts: Facts, newest: Choice | None) -> Decision:
        for k in range(newest.k if newest else 0, selection.MAX_CHOICES):
            adopted = newest if newest and newest.k == k else None
            choice = adopted or await self._next_choice(k, facts)
            if not isinstance(choice, Choice):
                return choice
            if choice.id is None:
                return Begin()
            outcome = await self._try(choice, facts)
            if outcome is not None:
                return outcome
        return Halt(
            "NoValidCheckpoint", f"{selection.MAX_CHOICES} checkpoints failed to verify in a row"
        )

    async def _next_choice(self, k: int, facts: Facts) -> Choice | Decision:
        if self._ballot.rank != 0:
            return await self._await_choice(k)
        decision = await self._select(facts)
        if isinstance(decision, selection.Completed):
            return Finish(decision.attempt)
        if isinstance(decision, selection.Stop):
            return await self._stopped(decision, facts)
        chosen = decision.id if isinstance(decision, selection.Resume) else None
        why = decision.why if isinstance(decision, selection.FromZero) else ""
        choose = partial(self._ballot.choose, k=k, checkpoint=chosen, why=why)
        return await self._lineage.patiently(choose)

    async def _select(
        self, facts: Facts
    ) -> selection.Resume | selection.FromZero | selection.Completed | selection.Stop:
        """Decide, looking again while the newest candidate cannot be judged."""
        while True:
            decide = partial(_decide, facts=facts, ballot=self._ballot, now=self._now())
            decision = await self._lineage.patiently(decide)
            if not isinstance(decision, selection.Wait):
                break
            self._standing.meet("StoreUnreachable", decision.why)
            await self._standing.clock.sleep(between(*LOOK_AGAIN_SECONDS))
        if not isinstance(decision, selection.Completed):
            self._passed = decision.passed
        return decision

    async def _stopped(self, stop: selection.Stop, facts: Facts) -> Halt:
        if stop.word == "BadNode":
            return Halt("BadNode", stop.reason)
        if stop.word == "UnsupportedCheckpoint":
            # Nothing is wrong with it: nothing is quarantined, and nothing older is taken.
            return Halt("NoValidCheckpoint", stop.reason)
        await self._quarantine(facts, verified_on=frozenset())
        return Halt("NoValidCheckpoint", stop.reason)

    async def _await_choice(self, k: int) -> Choice | Halt:
        waited = 0.0
        while waited < SILENCE_SECONDS:
            newest = await self._lineage.patiently(self._ballot.newest)
            if newest and newest.k >= k:
                return newest
            pause = between(*LOOK_AGAIN_SECONDS)
            await self._standing.clock.sleep(pause)
            waited += pause
        return Halt("StartFailed", f"rank 0 made no choice {k} for {SILENCE_SECONDS:.0f} s")

    async def _try(self, choice: Choice, facts: Facts) -> FromCheckpoint | Halt | None:
        """Fetch the chosen checkpoint and vote; None: some rank found it bad."""
        before = await self._lineage.patiently(partial(self._ballot.posted, choice=choice))
        if before and before.verdict != "verified":
            return None
        outcome = await self._fetched(str(choice.id))
        evidence = outcome if isinstance(outcome, Evidence) else None
        if evidence:
            self._fetch.discard()
            if before:
                return Halt("StartFailed", f"verified before, not any more: {evidence.detail}")
            log.warning("checkpoint is bad", extra={"id": choice.id, "why": evidence.detail})
        post = partial(self._ballot.post, choice=choice, evidence=evidence)
        await self._lineage.patiently(post)
        if isinstance(outcome, Evidence):
            return None
        return await self._agreed(choice, outcome, facts)

    async def _agreed(
        self, choice: Choice, mine: FromCheckpoint, facts: Facts
    ) -> FromCheckpoint | Halt | None:
        """Wait until every rank has verified the choice; None: one found it bad."""
        waited = 0.0
        while waited < SILENCE_SECONDS:
            votes: Votes = await self._lineage.patiently(partial(self._ballot.votes, k=choice.k))
            if votes.bad:
                self._fetch.discard()
                return None
            if votes.all_verified(self._ranks):
                await self._quarantine(facts, verified_on=votes.nodes)
                return mine
            pause = between(*LOOK_AGAIN_SECONDS)
            await self._standing.clock.sleep(pause)
            waited += pause
        missing = sorted(set(range(self._ranks)) - votes.verified)
        return Halt("StartFailed", f"ranks {missing} did not verify within {SILENCE_SECONDS:.0f} s")

    async def _fetched(self, checkpoint: str) -> FromCheckpoint | Evidence:
        while True:
            try:
                manifest = await self._manifest(checkpoint)
                files = await self._fetch.fetch(manifest, self._ballot.rank)
                return FromCheckpoint(manifest, files)
            except (Corrupt, records.Damaged) as error:
                return self._evidence(checkpoint, Kind.CONTENT, error)
            except NotFound as error:
                if await self._sees_format():
                    return self._evidence(checkpoint, Kind.MISSING, error)
            await self._standing.clock.sleep(between(*LOOK_AGAIN_SECONDS))

    async def _manifest(self, checkpoint: str) -> Manifest:
        return await self._lineage.patiently(partial(verify.read_manifest, checkpoint=checkpoint))

    async def _sees_format(self) -> bool:
        try:
            await self._lineage.patiently(verify.read_format)
        except (StoreError, records.FormatError) as error:
            self._standing.meet("StoreUnreachable", f"the lineage cannot be seen: {error}")
            return False
        return True

    async def _quarantine(self, facts: Facts, *, verified_on: frozenset[str]) -> None:
        """Write the tombstones that the evidence allows by now."""
        if self._ballot.rank != 0:
            return
        bury = partial(
            _bury,
            facts=dataclasses.replace(facts, verified_on=verified_on),
            passed=self._passed,
            attempt=self._ballot.attempt,
            now=self._now(),
        )
        for tombstone in await self._lineage.patiently(bury):
            self._standing.quarantine(tombstone.id, "; ".join(tombstone.evidence))

    def _evidence(self, checkpoint: str, kind: Kind, error: Exception) -> Evidence:
        return Evidence(checkpoint, kind, self._ballot.node, str(error)[:1024])

    def _now(self) -> Callable[[], str]:
        return lambda: timestamp(self._standing.clock.now())


def _open(store: Store, *, begin: bool, now: Callable[[], str]) -> str:
    """Open the lineage; the reason why it cannot be opened, if there is one."""
    try:
        if not begin and not store.list(keys.COMMITS):
            verify.read_format(store)
        verify.open_lineage(store, created_at=now())
    except NotFound:
        return "the store holds nothing of this job: was it emptied, or the prefix changed?"
    except (Corrupt, records.FormatError) as error:
        return str(error)
    return ""


def _decide(
    store: Store, *, facts: Facts, ballot: Ballot, now: Callable[[], str]
) -> selection.Decision:
    """Roll forward what was left between receipt and commit, look, and select."""
    commit.roll_forward(store, committed_at=now())
    evidence = verify.read_evidence(store)
    # A choice is followed by another only when some rank, on whatever node, found it bad.
    failed_here = {item.id for item in evidence if item.node == facts.node}
    failed_elsewhere = ballot.chosen(store) - failed_here
    seen = verify.look(
        store,
        dataclasses.replace(
            facts, evidence=evidence, suspects=(*facts.suspects, *sorted(failed_elsewhere))
        ),
    )
    return selection.select(seen, lambda id_: verify.verdict(store, id_, node=facts.node))


def _bury(
    store: Store,
    *,
    facts: Facts,
    passed: tuple[Evidence, ...],
    attempt: int,
    now: Callable[[], str],
) -> tuple[Tombstone, ...]:
    """Quarantine by what stands in the store and what was met here; only what has a manifest."""
    seen = verify.look(store, facts)
    known = (*verify.read_evidence(store), *passed)
    evidence = tuple(item for item in known if item.id in seen.commits)
    seen = dataclasses.replace(seen, evidence=evidence)
    return verify.quarantine(store, seen, attempt=attempt, at=now())
