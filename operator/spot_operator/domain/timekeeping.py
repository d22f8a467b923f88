"""The time ledger at a write: what has passed was spent as the persisted ledger says."""

from dataclasses import replace
from typing import Final

from spot_operator.api.names import Ending
from spot_operator.domain.ledger import Ledger, TimeLedger
from spot_operator.domain.scene import Scene
from spot_operator.domain.timeledger import Cut, Seconds, account, open_account

NODE_WENT: Final = frozenset({Ending.NODE_LOST, Ending.PREEMPTED})
"""Endings of which the node's absence is the evidence."""


def keep_time(scene: Scene, ledger: Ledger) -> TimeLedger:
    """The time until now, for the write that turns the persisted ledger into `ledger`."""
    old = scene.persisted
    if old.time.since is None:
        old = replace(old, time=open_account(scene.job.created_at, scene.now))
    ends = (old.state, old.attempt) != (ledger.state, ledger.attempt)
    cut = Cut(scene.now, _seconds(scene, old), closes=ends, fenced=_fenced(old, ledger))
    time = account(old, cut)
    # The next attempt's sidecar counts from zero.
    return time if ledger.attempt == old.attempt else replace(time, reported=())


def _seconds(scene: Scene, old: Ledger) -> Seconds | None:
    report = scene.report_of(old.ranks[0]) if old.ranks else None
    return report.seconds if report is not None else None


def _fenced(old: Ledger, ledger: Ledger) -> bool:
    """Whether a node of the old attempt went away; the next one's start forgets the ranks."""
    if any(one.ended is not None and one.ended.fence is not None for one in ledger.ranks):
        return True
    ended = next((one for one in ledger.attempts if one.number == old.attempt), None)
    return ended is not None and ended.ending in NODE_WENT
