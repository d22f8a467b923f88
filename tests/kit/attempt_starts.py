"""One rank's start on a store of a test's choice: no sockets, no process, real files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kit.sidecar import a_pod
from spot_sidecar.base.clock import SystemClock, timestamp
from spot_sidecar.config.spot_config import Settings
from spot_sidecar.lineage.access import Lineage
from spot_sidecar.lineage.fence import Fence
from spot_sidecar.observability.metrics import Metrics
from spot_sidecar.operator_link.grant import Grant, GrantWatcher
from spot_sidecar.resume.attempt_start import AttemptStart
from spot_sidecar.resume.decision import Decision
from spot_sidecar.resume.fetch import Fetch
from spot_sidecar.resume.inherited import Inherited
from spot_sidecar.resume.restore_agreement import RestoreAgreement
from spot_sidecar.resume.search import Search
from spot_sidecar.shared_memory.arenas import Arenas
from spot_sidecar.state.attempt_state import AttemptState, Origin
from spot_sidecar.state.pod_journal import PodJournal
from spot_training.checkpoint.inherited import InheritedLineage
from spot_training.checkpoint.keys import CheckpointId
from spot_training.checkpoint.store import Store

MIB = 2**20
OTHER = "team/first/uid-of-first"
"""The lineage that a job is told to go on from."""


@dataclass(slots=True)
class Begun:
    """What came of it."""

    decision: Decision
    attempt_start: AttemptStart
    attempt_state: AttemptState
    settings: Settings


class HastyClock(SystemClock):
    """Waits a thousandth of what it is asked to."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / 1000)


def origin_of(checkpoint: str) -> Origin:
    parsed = CheckpointId.parse(checkpoint)
    return Origin(parsed.attempt, parsed.step, checkpoint)


async def begin(
    store: Store,
    folder: Path,
    *,
    attempt: int = 9,
    newest: str | None = None,
    suspects: Sequence[str] = (),
    start_fresh: bool = False,
    node: str = "node-a",
    staging: int = 16 * MIB,
    rank: int = 0,
    ranks: int = 1,
    other: Store | None = None,
    only: str | None = None,
) -> Begun:
    """Grant, claim and decide, as one rank of `attempt` on `node`.

    With `other` the job goes on from that lineage, from the checkpoint `only` if given.
    """
    parts, attempt_state, settings = an_attempt_start(
        store,
        folder,
        attempt=attempt,
        node=node,
        staging=staging,
        rank=rank,
        ranks=ranks,
        other=other,
        only=only,
    )
    grant = Grant(
        attempt=attempt,
        newest=origin_of(newest) if newest else None,
        suspects=tuple(suspects),
        start_fresh=start_fresh,
    )
    parts.grants.grant = grant
    await parts.attempt_start.run()
    assert parts.attempt_start.decision is not None
    return Begun(parts.attempt_start.decision, parts.attempt_start, attempt_state, settings)


@dataclass(slots=True)
class Parts:
    """The parts that an attempt start is made of."""

    grants: GrantWatcher
    fence: Fence
    attempt_start: AttemptStart


def an_attempt_start(
    store: Store,
    folder: Path,
    *,
    attempt: int,
    node: str = "node-a",
    staging: int = 16 * MIB,
    rank: int = 0,
    ranks: int = 1,
    other: Store | None = None,
    only: str | None = None,
) -> tuple[Parts, AttemptState, Settings]:
    """Everything up to the grant."""
    with a_pod(folder, attempt=attempt, with_operator=False, stagingBytes=staging) as pod:
        pod.config |= {"rank": rank, "ranks": ranks}
        pod.node = node
        settings = pod.settings()
    clock = HastyClock()
    attempt_state = AttemptState(clock, attempt, clock.now())
    metrics = Metrics()
    lineage = Lineage(lambda: store, attempt_state, metrics)
    journal = PodJournal(settings.paths.journal)
    fence = Fence(
        lineage,
        attempt_state,
        journal=journal,
        config=settings.config,
        pod=settings.pod,
        superseded=lambda _: None,
    )
    grants = GrantWatcher(attempt, start_fresh=False)
    arenas = Arenas(settings.paths, settings.config.staging_bytes)
    fetch = Fetch(lineage, arenas, settings.paths, metrics)
    agreement = RestoreAgreement(attempt, rank, node, lambda: timestamp(clock.now()))
    inherited = None
    if other is not None:
        view = InheritedLineage(store, other)
        inherited = Inherited(lineage.beside(lambda: view), OTHER, only)
    search = Search(lineage, attempt_state, fetch, agreement, ranks=ranks, inherited=inherited)
    attempt_start = AttemptStart(
        grants,
        fence,
        search,
        fetch,
        attempt_state=attempt_state,
        journal=journal,
        begins_at=lambda _: None,
        turns=lambda: None,
    )
    return Parts(grants, fence, attempt_start), attempt_state, settings
