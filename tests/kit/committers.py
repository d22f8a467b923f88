"""A committer on a store of a test's choice, in fake time."""

from __future__ import annotations

from kit.clock import FakeClock
from spot_sidecar.config.spot_config import Config, Pod, Settings
from spot_sidecar.lineage.access import Lineage
from spot_sidecar.lineage.fence import Fence
from spot_sidecar.observability.metrics import Metrics
from spot_sidecar.snapshots.committer import Committer
from spot_sidecar.state.attempt_state import AttemptState
from spot_sidecar.state.pod_journal import PodJournal
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
    attempt_state = AttemptState(clock, attempt, clock.now())
    lineage = Lineage(lambda: store, attempt_state, Metrics())
    config: Config = settings.config.model_copy(
        update={"attempt": attempt, "rank": rank, "ranks": ranks}
    )
    pod: Pod = settings.pod
    fence = Fence(
        lineage,
        attempt_state,
        journal=PodJournal(settings.paths.journal),
        config=config,
        pod=pod,
        superseded=lambda _: None,
    )
    return Committer(lineage, fence, attempt_state, config, pod)
