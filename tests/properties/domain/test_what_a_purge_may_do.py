"""A lineage is deleted for a deleted job that asked for it, after its last process, or not at all.

Jobs in every stage, pods in every state, tries with every end: what one pass does is checked
against what it may, and whatever happens the job is let go after a bounded number of tries (I7).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from kit.builders import (
    a_job,
    a_pod,
    a_snapshot,
    at_work,
    exited,
    gone,
    later,
    persisted,
    running,
    terminating,
)
from spot_operator.api.names import FINALIZER, State
from spot_operator.domain.actions import CreatePod, CreatePurge, DeletePod, Hold, Plan
from spot_operator.domain.checkpoint_deletion import TRIES
from spot_operator.domain.nodes.fencing import is_forced
from spot_operator.domain.observed.snapshot import JobView, PodView, Snapshot, Visibility
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import Purge

POD = running(a_pod())
PODS: dict[str, tuple[PodView, ...]] = {
    "running": (POD,),
    "terminating": (terminating(POD),),
    "forced": (replace(terminating(POD), grace_seconds=0),),
    "exited": (exited(POD, 1),),
    "vanished": (gone(POD),),
    "ended and gone": (gone(exited(POD, 0)),),
    "absent": (),
    "orphaned": (replace(POD, owner_uid=""),),
    "late": (exited(POD, 0), replace(running(a_pod(2)), uid="late")),
}
TRY_ENDS = ("succeeds", "fails", "is removed", "never starts", "never ends")


def a_held_job(policy: str, *, deleting: bool, held: bool) -> JobView:
    store = {"s3": {"bucket": "training"}}
    return a_job(
        checkpoint={"store": store, "deletionPolicy": policy},
        deleting=deleting,
        finalizers=(FINALIZER,) if held else (),
    )


def a_purge_pod(number: int, end: str) -> PodView:
    name = f"digits-purge-{number}"
    pod = replace(a_pod(-1, -1), name=name, uid=f"uid-of-{name}", purge=number)
    made = {
        "succeeds": exited(pod, 0, message=json.dumps({"deleted": 3, "kept": []})),
        "fails": exited(pod, 1, message=json.dumps({"problem": "Denied"})),
        "is removed": gone(running(pod)),
        "never starts": pod,
        "never ends": running(pod),
    }
    return made[end]


@st.composite
def moments(draw: st.DrawFn) -> Snapshot:
    """A job at some point of its life, as one pass may find it."""
    stage = draw(st.sampled_from(["new", "at work", "finished"]))
    made = a_snapshot() if stage == "new" else at_work()
    if stage == "finished":
        made = persisted(replace(made, pods=(exited(POD, 93),)))
    policy = draw(st.sampled_from(["Delete", "Delete", "Retain"]))
    job = a_held_job(
        policy,
        deleting=draw(st.sampled_from([True, True, False])),
        held=draw(st.sampled_from([True, True, False])),
    )
    ledger = made.ledger
    if draw(st.booleans()):
        since = made.now + timedelta(seconds=draw(st.sampled_from([-3600, 0, 60])))
        outcome: Literal["Deleted", "Left"] | None = draw(
            st.sampled_from([None, None, "Deleted", "Left"])
        )
        ledger = replace(ledger, purge=Purge(draw(st.integers(1, TRIES)), since, outcome))
    purges: tuple[PodView, ...] = ()
    if draw(st.booleans()):
        purges = (a_purge_pod(draw(st.integers(1, TRIES)), draw(st.sampled_from(TRY_ENDS))),)
    fresh = draw(st.sampled_from([True, True, False]))
    return replace(
        made,
        job=job,
        ledger=ledger,
        pods=PODS[draw(st.sampled_from(sorted(PODS)))] if stage != "new" else (),
        nodes=made.nodes if draw(st.booleans()) else {},
        purges=purges,
        visibility=Visibility(fresh, 3600.0, made.visibility.leases),
        namespace_terminating=draw(st.sampled_from([False, False, False, True])),
    )


def expect_lawful(snapshot: Snapshot, made: Plan) -> None:
    """What one pass may do about a lineage and a finalizer."""
    job, ledger = snapshot.job, snapshot.ledger
    assert job is not None
    wants = job.spec.checkpoint.deletion_policy == "Delete"
    for action in made.actions:
        if isinstance(action, CreatePurge):
            assert wants
            assert job.deleting
            assert job.held
            assert snapshot.visibility.fresh
            assert ledger.purge is not None
            assert (ledger.purge.number, ledger.purge.outcome) == (action.number, None)
            assert ledger.purge.since <= snapshot.now
            expect_nothing_alive(snapshot)
        if isinstance(action, Hold):
            assert action.wanted != job.held
            assert not (action.wanted and job.deleting), "the server refuses that"
        if action == Hold(wanted=False) and wants:
            assert ledger.attempt == 0 or (ledger.purge is not None and ledger.purge.outcome)
        if isinstance(action, CreatePod):
            assert not job.deleting
    if not (job.deleting and job.held and wants) and made.ledger is not None:
        assert made.ledger.purge == ledger.purge


def expect_nothing_alive(snapshot: Snapshot) -> None:
    for pod in snapshot.pods:
        ours = pod.owner_uid in {"", "uid-of-digits"}
        assert not ours or pod.gone or pod.terminal or is_forced(pod)
    if snapshot.ledger.state not in {State.WAITING, State.FINISHED}:
        assert all(one.ended is not None for one in snapshot.ledger.ranks)


@given(moments())
def test_one_pass_does_no_more_than_it_may(snapshot: Snapshot) -> None:
    expect_lawful(snapshot, plan(snapshot))


@dataclass
class Farewell:
    """A deleted job and what becomes of it, minute by minute."""

    snapshot: Snapshot
    ends: list[str]
    tries: int = 0
    let_go: bool = False
    said: list[str] = field(default_factory=list)

    def minute(self) -> None:
        for _ in range(4):
            made = plan(self.snapshot)
            expect_lawful(self.snapshot, made)
            self.said += [str(note.reason) for note in made.events]
            if made.ledger is not None:
                self.snapshot = replace(self.snapshot, ledger=made.ledger)
            for action in made.actions:
                self._do(action)
        self.snapshot = later(self.snapshot, 60)

    def _do(self, action: Any) -> None:
        if isinstance(action, DeletePod):
            self._delete(action.uid)
        elif isinstance(action, CreatePurge):
            self.tries += 1
            end = self.ends[(self.tries - 1) % len(self.ends)]
            purge = a_purge_pod(action.number, end)
            self.snapshot = replace(self.snapshot, purges=(*self.snapshot.purges, purge))
        elif action == Hold(wanted=False):
            self.let_go = True

    def _delete(self, uid: str) -> None:
        """Kubelets end what they are asked to."""
        now = self.snapshot
        pods, purges = (_after(uid, there) for there in (now.pods, now.purges))
        self.snapshot = replace(now, pods=pods, purges=purges)


def _after(uid: str, pods: tuple[PodView, ...]) -> tuple[PodView, ...]:
    return tuple(gone(exited(pod, 143)) if pod.uid == uid else pod for pod in pods)


@settings(deadline=None)
@given(moments(), st.lists(st.sampled_from(TRY_ENDS), min_size=1, max_size=TRIES))
def test_every_deleted_job_is_let_go_after_a_bounded_number_of_tries(
    snapshot: Snapshot, ends: list[str]
) -> None:
    healthy = replace(snapshot, visibility=replace(snapshot.visibility, fresh=True))
    left = tuple(terminating(pod) if pod.owner_uid else exited(pod, 0) for pod in healthy.pods)
    story = Farewell(
        replace(healthy, pods=left, job=a_held_job("Delete", deleting=True, held=True)), ends
    )
    for pod in story.snapshot.pods:
        if not pod.terminal:
            story._delete(pod.uid)
    for _ in range(240):
        story.minute()
        if story.let_go:
            break
    assert story.let_go
    assert story.tries <= TRIES
