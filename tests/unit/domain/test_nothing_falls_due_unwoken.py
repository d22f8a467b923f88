"""A job at rest writes nothing, and whatever falls due by the mere passing of time wakes it.

Tried on every scene of `kit.scenes`, by how time may pass: reports and leases go on, the sidecar
says nothing more, or its node says nothing either.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from kit.scenes import SCENES
from spot_operator.domain.actions import Plan
from spot_operator.domain.observed.elapsed import signs
from spot_operator.domain.observed.snapshot import Snapshot
from spot_operator.domain.plan import plan

Silence = Callable[[Snapshot, float], Snapshot]

MOMENTS = (0.001, 1, 5, 9.9, 30, 61, 121, 301, 601, 901, 1801, 3601, 7201, 14_401, 43_201, 200_000)
"""Seconds after which the job is looked at."""


def rests(scene: Snapshot) -> tuple[Snapshot, Plan]:
    """The scene once all that can be written is, seen so by this leader for as long as it leads."""
    seen = dict.fromkeys(signs(scene.ledger, scene.pods), scene.visibility.leading_for)
    now = replace(scene, seen={**seen, **scene.seen})
    for _ in range(10):
        made = plan(now)
        if made.ledger is None:
            return now, made
        now = replace(now, ledger=made.ledger)
    raise AssertionError("it never rests")


def passed(scene: Snapshot, seconds: float) -> Snapshot:
    """Time passes, and everybody says what they said."""
    seen = {one: scene.seen.get(one, 0.0) + seconds for one in signs(scene.ledger, scene.pods)}
    visibility = replace(scene.visibility, leading_for=scene.visibility.leading_for + seconds)
    now = scene.now + timedelta(seconds=seconds)
    return replace(scene, now=now, visibility=visibility, seen=seen)


def unreported(scene: Snapshot, seconds: float) -> Snapshot:
    """No sidecar reports any more."""
    reports = {
        uid: replace(
            one,
            age=one.age + seconds,
            step_age=one.step_age + seconds,
            commit_age=one.commit_age + seconds,
            word_age=None if one.word_age is None else one.word_age + seconds,
        )
        for uid, one in scene.reports.items()
    }
    return replace(passed(scene, seconds), reports=reports)


def unheard(scene: Snapshot, seconds: float) -> Snapshot:
    """Nor do the nodes of the job renew their leases; all others do."""
    silent = unreported(scene, seconds)
    mine = {one.node.name for one in scene.ledger.ranks if one.node is not None}
    nodes = {
        name: replace(node, lease_age=node.lease_age + seconds)
        if name in mine and node.lease_age is not None
        else node
        for name, node in scene.nodes.items()
    }
    long = tuple(1.0 + 10.0 * k for k in range(int(seconds / 10) + 60))
    leases = {
        name: tuple(age + seconds for age in ages) if name in mine else long
        for name, ages in scene.visibility.leases.items()
    }
    return replace(silent, nodes=nodes, visibility=replace(silent.visibility, leases=leases))


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("silence", [passed, unreported, unheard], ids=lambda one: one.__name__)
def test_what_falls_due_wakes_the_job(silence: Silence, name: str) -> None:
    scene, made = rests(SCENES[name])
    if made.actions:
        # What they change in the world is news.
        return
    for seconds in MOMENTS:
        then = plan(silence(scene, seconds))
        if then.ledger is not None or then.actions:
            assert made.wake_after is not None, f"nothing wakes it for {then}"
            assert made.wake_after <= timedelta(seconds=seconds), f"too late for {then}"
            return
