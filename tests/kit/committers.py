"""A committer on a store of a test's choice, in fake time."""

from __future__ import annotations

from kit.clock import FakeClock
from spot_sidecar.config import Config, Pod, Settings
from spot_sidecar.fence import Fence
from spot_sidecar.lineage import Lineage
from spot_sidecar.memory import Memory
from spot_sidecar.metrics import Metrics
from spot_sidecar.snapshots.committer import Committer
from spot_sidecar.standing import Standing
from spot_training.checkpoint.store import Store


def a_committer(
    store: Store,
    settings: Settings,
    clock: FakeClock,
    *,
    attempt: int = 1,
    rank: int = 0,
    ranks: int = 1,
) -> Committer:
    """The committer of a pod of `attempt`, which has claimed nothing yet."""
    standing = Standing(clock, attempt, clock.now())
    lineage = Lineage(lambda: store, standing, Metrics())
    config: Config = settings.config.model_copy(
        update={"attempt": attempt, "rank": rank, "ranks": ranks}
    )
    pod: Pod = settings.pod
    fence = Fence(
        lineage,
        standing,
        memory=Memory(settings.paths.memory),
        config=config,
        pod=pod,
        superseded=lambda _: None,
    )
    return Committer(lineage, fence, standing, config, pod)
