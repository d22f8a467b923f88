"""Finds what this attempt resumes from: the SDK's rules, this pod's eyes, one rank's part.

Rank 0 chooses (roll forward, look, select), every rank fetches and posts. A choice that some rank
found bad is followed by the next one; what is found bad is quarantined once the evidence is
definite. Trouble on the way is waited out: nothing older is taken because something newer could not
be seen, and nothing ever starts from zero because the store was silent.

Where a node seems to be what is bad, its rank says so and ends the attempt. The others wait for
that, with a limit: what they said earlier would hide its word.

Until the job has committed, the candidates may be another job's (`resumeFrom`), judged alike.
"""

import dataclasses
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from spot_training.checkpoint import commit, keys, records, selection, verify
from spot_training.checkpoint.manifest import Choice, Tombstone
from spot_training.checkpoint.selection import Evidence, Facts, Kind
from spot_training.checkpoint.store import Corrupt, NotFound, Store, StoreError

from spot_sidecar.base.clock import timestamp
from spot_sidecar.lineage.access import Lineage
from spot_sidecar.operator_link.grant import Grant
from spot_sidecar.resume.decision import (
    AlreadyCompleted,
    Bringing,
    Decision,
    Fresh,
    FromCheckpoint,
    Stop,
)
from spot_sidecar.resume.inherited import Inherited
from spot_sidecar.resume.restore_agreement import RestoreAgreement, Votes
from spot_sidecar.state.attempt_state import AttemptState

__all__ = ["Search"]

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = (2.0, 5.0)
"""Between two readings of a candidate that could not be seen, or at what other ranks voted."""
SILENCE_SECONDS = 600.0
"""A rank that neither posts nor progresses for so long ends the attempt."""


class Search:
    """One attempt's search, by one rank."""

    def __init__(
        self,
        lineage: Lineage,
        attempt_state: AttemptState,
        fetch: Bringing,
        agreement: RestoreAgreement,
        *,
        ranks: int,
        inherited: Inherited | None = None,
        begun: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`begun` is called, by rank 0, when the job's lineage was just begun."""
        self._lineage = lineage
        self._attempt_state = attempt_state
        self._fetch = fetch
        self._agreement = agreement
        self._ranks = ranks
        self._inherited = inherited
        self._begun = begun
        self._selected_from: Inherited | None = None
        self._passed: tuple[Evidence, ...] = ()
        self._found_bad = False

    async def open(self, grant: Grant) -> Stop | None:
        """Open the lineage, beginning it if the job never committed.

        A lineage that is empty although the job's status records a commit is not begun anew: it may
        be the wrong one, and what is missing may come back.
        """
        begin = grant.newest is None or grant.start_fresh
        halt, is_new = await self._lineage.patiently(partial(_open, begin=begin, now=self._now()))
        if is_new and self._begun and self._agreement.rank == 0:
            await self._begun()
        if halt and grant.newest:
            return Stop("NoValidCheckpoint", f"status records {grant.newest.id}, but {halt}")
        return Stop("NoValidCheckpoint", halt) if halt else None

    async def decide(self, grant: Grant) -> Decision:
        """What to resume from.

        Raises:
            StagingTooSmallError: the checkpoint does not fit the shared memory.
            records.FormatError: a document of this attempt is damaged or of a newer version.
        """
        facts = Facts(
            node=self._agreement.node if self._agreement.rank == 0 else "",
            commits=(),
            suspects=grant.suspects,
            recorded=grant.newest.id if grant.newest else None,
            start_fresh=grant.start_fresh,
        )
        completed = await self._lineage.patiently(partial(verify.look, facts=facts))
        if completed.markers:
            return AlreadyCompleted(max(completed.markers))
        newest = await self._lineage.patiently(self._agreement.newest)
        return await self._walk(facts, newest)

    async def _walk(self, facts: Facts, newest: Choice | None) -> Decision:
        # A restarted rank may have found an earlier choice bad than the one that it adopts.
        self._found_bad = newest is not None and newest.k > 0
        for k in range(newest.k if newest else 0, selection.MAX_CHOICES):
            adopted = newest if newest and newest.k == k else None
            choice = adopted or await self._next_choice(k, facts)
            if not isinstance(choice, Choice):
                return choice
            if choice.id is None:
                return Fresh()
            outcome = await self._try(choice, facts)
            if outcome is not None:
                return outcome
        return Stop(
            "NoValidCheckpoint", f"{selection.MAX_CHOICES} checkpoints failed to verify in a row"
        )

    async def _next_choice(self, k: int, facts: Facts) -> Choice | Decision:
        if self._agreement.rank != 0:
            return await self._await_choice(k, facts)
        decision = await self._select(k, facts)
        if isinstance(decision, selection.Completed):
            return AlreadyCompleted(decision.attempt)
        if isinstance(decision, selection.Stop):
            return await self._stopped(decision, facts)
        chosen = decision.id if isinstance(decision, selection.Resume) else None
        why = decision.why if isinstance(decision, selection.FromZero) else ""
        lineage = self._selected_from.name if chosen and self._selected_from else None
        choose = partial(self._agreement.choose, k=k, checkpoint=chosen, why=why, lineage=lineage)
        return await self._lineage.patiently(choose)

    async def _select(
        self, k: int, facts: Facts
    ) -> selection.Resume | selection.FromZero | selection.Completed | selection.Stop:
        """Decide, looking again while the newest candidate cannot be judged.

        Also while another rank is to end the attempt, but no longer than a rank may be silent:
        until then others may still confirm what it found.
        """
        waited = 0.0
        while True:
            decision = await self._decided(k, facts)
            pause = self._attempt_state.entropy.uniform(*LOOK_AGAIN_SECONDS)
            if isinstance(decision, selection.Wait):
                self._attempt_state.meet("StoreUnreachable", decision.why)
            elif not _is_anothers(decision, facts) or waited >= SILENCE_SECONDS:
                break
            else:
                waited += pause
            await self._attempt_state.clock.sleep(pause)
        if not isinstance(decision, selection.Completed):
            self._passed = decision.passed
        return decision

    async def _decided(self, k: int, facts: Facts) -> selection.Decision:
        """By the job's own lineage; as long as it never had a commit, by the inherited one."""
        agreement = self._agreement
        decide = partial(_decide, facts=facts, agreement=agreement, k=k, now=self._now())
        decision = await self._lineage.patiently(decide)
        self._selected_from = None
        source = self._inherited
        if source is None or not source.is_wanted(decision):
            return decision
        self._selected_from = source
        select = partial(
            _select, facts=source.facts(facts), agreement=agreement, k=k, look=source.look
        )
        return await source.lineage.patiently(select)

    async def _stopped(self, stop: selection.Stop, facts: Facts) -> Stop:
        if _is_anothers(stop, facts):
            limit = f"its rank did not end the attempt within {SILENCE_SECONDS:.0f} s"
            return Stop("StartFailed", f"{stop.reason}; {limit}")
        if stop.word == "BadNode":
            return Stop("BadNode", stop.reason)
        if stop.word == "UnsupportedCheckpoint":
            # Nothing is wrong with it: nothing is quarantined, and nothing older is taken.
            return Stop("NoValidCheckpoint", stop.reason)
        await self._quarantine(facts, self._selected_from)
        return Stop("NoValidCheckpoint", stop.reason)

    async def _await_choice(self, k: int, facts: Facts) -> Choice | Stop:
        waited = 0.0
        while waited < SILENCE_SECONDS:
            newest = await self._lineage.patiently(self._agreement.newest)
            if newest and newest.k >= k:
                return newest
            if self._found_bad and (halt := await self._own_node_is_bad(k, facts)):
                return halt
            pause = self._attempt_state.entropy.uniform(*LOOK_AGAIN_SECONDS)
            await self._attempt_state.clock.sleep(pause)
            waited += pause
        return Stop("StartFailed", f"rank 0 made no choice {k} for {SILENCE_SECONDS:.0f} s")

    async def _own_node_is_bad(self, k: int, facts: Facts) -> Stop | None:
        """By the rules by which rank 0 makes no further choice then."""
        decision = await self._decided(k, facts)
        if isinstance(decision, selection.Stop) and decision.node == self._agreement.node:
            return Stop(decision.word, decision.reason)
        return None

    async def _try(self, choice: Choice, facts: Facts) -> FromCheckpoint | Stop | None:
        """Fetch the chosen checkpoint and vote; None: some rank found it bad."""
        before = await self._lineage.patiently(partial(self._agreement.posted, choice=choice))
        if before and before.verdict != "verified":
            self._found_bad = True
            return None
        source = self._inherited if choice.lineage else None
        outcome = await self._fetched(str(choice.id), source)
        evidence = outcome if isinstance(outcome, Evidence) else None
        if evidence:
            self._fetch.discard()
            if before:
                return Stop(
                    "StartFailed", f"it verified before, and does not now: {evidence.detail}"
                )
            log.warning("checkpoint is bad", extra={"id": choice.id, "why": evidence.detail})
        post = partial(self._agreement.post, choice=choice, evidence=evidence)
        await self._where(source).patiently(post)
        if isinstance(outcome, Evidence):
            self._found_bad = True
            return None
        return await self._agreed(choice, outcome, facts)

    async def _agreed(
        self, choice: Choice, mine: FromCheckpoint, facts: Facts
    ) -> FromCheckpoint | Stop | None:
        """Wait until every rank has verified the choice; None: one found it bad."""
        waited = 0.0
        while waited < SILENCE_SECONDS:
            votes: Votes = await self._lineage.patiently(partial(self._agreement.votes, k=choice.k))
            if votes.bad:
                self._fetch.discard()
                return None
            if votes.all_verified(self._ranks):
                source = self._inherited if choice.lineage else None
                await self._quarantine(facts, source, votes.nodes, str(choice.id))
                return mine
            pause = self._attempt_state.entropy.uniform(*LOOK_AGAIN_SECONDS)
            await self._attempt_state.clock.sleep(pause)
            waited += pause
        missing = sorted(set(range(self._ranks)) - votes.verified)
        return Stop("StartFailed", f"ranks {missing} did not verify within {SILENCE_SECONDS:.0f} s")

    async def _fetched(
        self, checkpoint: str, source: Inherited | None
    ) -> FromCheckpoint | Evidence:
        lineage = self._where(source)
        while True:
            try:
                read = partial(verify.read_manifest, checkpoint=checkpoint)
                manifest = await lineage.patiently(read)
                files = await self._fetch.fetch(manifest, self._agreement.rank, lineage)
                return FromCheckpoint(manifest, files, source.name if source else None)
            except (Corrupt, records.Damaged) as error:
                return self._evidence(checkpoint, Kind.CONTENT, error)
            except NotFound as error:
                if await self._sees_format(lineage):
                    return self._evidence(checkpoint, Kind.MISSING, error)
            await self._attempt_state.clock.sleep(
                self._attempt_state.entropy.uniform(*LOOK_AGAIN_SECONDS)
            )

    def _where(self, source: Inherited | None) -> Lineage:
        return source.lineage if source else self._lineage

    async def _sees_format(self, lineage: Lineage) -> bool:
        try:
            await lineage.patiently(verify.read_format)
        except (StoreError, records.FormatError) as error:
            self._attempt_state.meet("StoreUnreachable", f"the lineage cannot be read: {error}")
            return False
        return True

    async def _quarantine(
        self,
        facts: Facts,
        source: Inherited | None,
        verified_on: frozenset[str] = frozenset(),
        verified: str | None = None,
    ) -> None:
        """Write the tombstones that the evidence allows by now; always into this job's lineage."""
        if self._agreement.rank != 0:
            return
        bury = partial(
            _bury,
            facts=dataclasses.replace(
                source.facts(facts) if source else facts, verified_on=verified_on, verified=verified
            ),
            passed=self._passed,
            attempt=self._agreement.attempt,
            now=self._now(),
        )
        whose = f"of {source.name}, where nothing is changed: " if source else ""
        for tombstone in await self._where(source).patiently(bury):
            self._attempt_state.quarantine(tombstone.id, whose + "; ".join(tombstone.evidence))

    def _evidence(self, checkpoint: str, kind: Kind, error: Exception) -> Evidence:
        return Evidence(checkpoint, kind, self._agreement.node, str(error)[:1024])

    def _now(self) -> Callable[[], str]:
        return lambda: timestamp(self._attempt_state.clock.now())


def _open(store: Store, *, begin: bool, now: Callable[[], str]) -> tuple[str, bool]:
    """Open the lineage; why it cannot be opened, if there is a reason, and whether it is new."""
    created_at = now()
    try:
        if not begin and not store.list(keys.COMMITS):
            verify.read_format(store)
        opened = verify.open_lineage(store, created_at=created_at)
    except NotFound:
        return "the store holds nothing of this job: was it emptied, or the prefix changed?", False
    except (Corrupt, records.FormatError) as error:
        return str(error), False
    return "", opened.created_at == created_at


def _is_anothers(decision: selection.Decision, facts: Facts) -> bool:
    """Whether another rank's node is what is bad: that rank ends the attempt."""
    return isinstance(decision, selection.Stop) and decision.node not in ("", facts.node)


def _decide(
    store: Store, *, facts: Facts, agreement: RestoreAgreement, k: int, now: Callable[[], str]
) -> selection.Decision:
    """Roll forward what was left between receipt and commit, look, and select."""
    commit.roll_forward(store, committed_at=now())
    return _select(store, facts=facts, agreement=agreement, k=k, look=verify.look)


def _select(
    store: Store,
    *,
    facts: Facts,
    agreement: RestoreAgreement,
    k: int,
    look: Callable[[Store, Facts], Facts],
) -> selection.Decision:
    """Decide on the k-th choice by what `look` finds in the store."""
    tried = agreement.before(store, k)
    evidence = verify.read_evidence(store)
    known = dataclasses.replace(facts, evidence=evidence, tried=tried.ids, gang=tried.nodes)
    return selection.select(
        look(store, known), lambda id_: verify.verdict(store, id_, node=facts.node)
    )


def _bury(
    store: Store,
    *,
    facts: Facts,
    passed: tuple[Evidence, ...],
    attempt: int,
    now: Callable[[], str],
) -> tuple[Tombstone, ...]:
    """Quarantine by what stands in the store and what was met here; only what has a manifest."""
    known = (*verify.read_evidence(store), *passed)
    if not known:
        return ()  # the trainer is waiting: three listings less
    seen = verify.look(store, facts)
    evidence = tuple(item for item in known if item.id in seen.commits)
    seen = dataclasses.replace(seen, evidence=evidence)
    return verify.quarantine(store, seen, attempt=attempt, at=now())
