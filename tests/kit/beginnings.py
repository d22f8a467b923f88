"""One rank's beginning on a store of a test's choice: no sockets, no process, real files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kit.sidecar import a_pod
from spot_sidecar.arenas import Arenas
from spot_sidecar.clock import SystemClock, timestamp
from spot_sidecar.config import Settings
from spot_sidecar.fence import Fence
from spot_sidecar.lineage import Lineage
from spot_sidecar.memory import Memory
from spot_sidecar.metrics import Metrics
from spot_sidecar.resume.ballot import Ballot
from spot_sidecar.resume.beginning import Beginning
from spot_sidecar.resume.decision import Decision
from spot_sidecar.resume.fetch import Fetch
from spot_sidecar.resume.grant import Grant, GrantDesk
from spot_sidecar.resume.inherited import Inherited
from spot_sidecar.resume.search import Search
from spot_sidecar.standing import Origin, Standing
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
    beginning: Beginning
    standing: Standing
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
    beginning, standing, settings = a_beginning(
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
    beginning.desk.grant = grant
    await beginning.beginning.run()
    assert beginning.beginning.decision is not None
    return Begun(beginning.beginning.decision, beginning.beginning, standing, settings)


@dataclass(slots=True)
class Parts:
    """The parts a beginning is made of."""

    desk: GrantDesk
    fence: Fence
    beginning: Beginning


def a_beginning(
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
) -> tuple[Parts, Standing, Settings]:
    """Everything up to the grant."""
    with a_pod(folder, attempt=attempt, with_operator=False, stagingBytes=staging) as pod:
        pod.config |= {"rank": rank, "ranks": ranks}
        pod.node = node
        settings = pod.settings()
    clock = HastyClock()
    standing = Standing(clock, attempt, clock.now())
    metrics = Metrics()
    lineage = Lineage(lambda: store, standing, metrics)
    memory = Memory(settings.paths.memory)
    fence = Fence(
        lineage,
        standing,
        memory=memory,
        config=settings.config,
        pod=settings.pod,
        superseded=lambda _: None,
    )
    desk = GrantDesk(attempt, start_fresh=False)
    arenas = Arenas(settings.paths, settings.config.staging_bytes)
    fetch = Fetch(lineage, arenas, settings.paths, metrics)
    ballot = Ballot(attempt, rank, node, lambda: timestamp(clock.now()))
    inherited = None
    if other is not None:
        view = InheritedLineage(store, other)
        inherited = Inherited(lineage.beside(lambda: view), OTHER, only)
    search = Search(lineage, standing, fetch, ballot, ranks=ranks, inherited=inherited)
    beginning = Beginning(
        desk,
        fence,
        search,
        fetch,
        standing=standing,
        memory=memory,
        begins_at=lambda _: None,
        turns=lambda: None,
    )
    return Parts(desk, fence, beginning), standing, settings
