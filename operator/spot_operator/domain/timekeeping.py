"""The time ledger at a write: what has passed was spent as the persisted ledger says."""

from dataclasses import replace

from spot_operator.domain.ledger import Ledger, TimeLedger
from spot_operator.domain.scene import Scene
from spot_operator.domain.timeledger import Cut, Seconds, account, open_account


def keep_time(scene: Scene, ledger: Ledger) -> TimeLedger:
    """The time until now, for the write that turns the persisted ledger into `ledger`."""
    old = scene.persisted
    if old.time.since is None:
        old = replace(old, time=open_account(scene.job.created_at, scene.now))
    ends = (old.state, old.attempt) != (ledger.state, ledger.attempt)
    time = account(old, Cut(scene.now, _seconds(scene, old), closes=ends))
    # The next attempt's sidecar counts from zero.
    return time if ledger.attempt == old.attempt else replace(time, reported=())


def _seconds(scene: Scene, old: Ledger) -> Seconds | None:
    report = scene.report_of(old.ranks[0]) if old.ranks else None
    return report.seconds if report is not None else None
