"""A script that knows SIGTERM alone: told early, never started with the wrong arguments."""

from dataclasses import replace

import pytest
from kit.builders import (
    a_commit,
    a_job,
    a_node,
    a_notice,
    a_pod,
    a_report,
    a_snapshot,
    a_word,
    at_work,
    bound,
    committed,
    expect_actions,
    expect_ending,
    gone,
    later,
    persisted,
    terminating,
)
from kit.jobs import a_script_job
from spot_operator.api.names import Ending, State
from spot_operator.domain.actions import CreatePod, DeletePod
from spot_operator.domain.observed.snapshot import ResumeReport, Snapshot
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import CommitRef

SCRIPT = a_job(**a_script_job())


def held_back(word: str, found: CommitRef | None = None, **job: object) -> Snapshot:
    """An attempt whose sidecar has said its word before the script's container began."""
    view = a_job(**a_script_job(), **job) if job else SCRIPT
    pod = bound(a_pod())
    report = a_report(
        state="Waiting", registered=False, step=0, resume=None, found=found, seconds={},
        word=a_word(word, "because"),
    )  # fmt: skip
    asked = persisted(a_snapshot(job=view))
    return persisted(replace(asked, pods=(pod,), reports={pod.uid: report}))


def ended(snapshot: Snapshot) -> Snapshot:
    """The same once the pod is deleted and gone."""
    (pod,) = snapshot.pods
    deleted = persisted(replace(snapshot, pods=(terminating(pod),)))
    return persisted(later(deleted, 200, pods=(replace(gone(pod), node_name=None),)))


def test_a_preempt_notice_deletes_the_pod_at_once() -> None:
    calm = at_work(job=SCRIPT)
    warned = replace(calm, reports={a_pod().uid: a_report(notice=a_notice())})
    stopping = persisted(warned)
    assert stopping.ledger.state is State.STOPPING
    assert stopping.ledger.stopping is not None
    assert stopping.ledger.stopping.cause is Ending.PREEMPTED
    (delete,) = (one for one in expect_actions(stopping) if isinstance(one, DeletePod))
    assert delete.grace_seconds is None
    record = expect_ending(ended(stopping).ledger, "Preempted")
    assert record.charged == "Interruption"


@pytest.mark.parametrize("kind", ["Rebalance", "Maintenance", "PodDeletion"])
def test_other_notices_do_not(kind: str) -> None:
    calm = at_work(job=SCRIPT)
    notice = a_notice(kind)  # type: ignore[arg-type]
    warned = persisted(replace(calm, reports={a_pod().uid: a_report(notice=notice)}))
    assert warned.ledger.state is State.CREATED


def test_a_trainer_with_the_sdk_is_left_to_save() -> None:
    warned = replace(at_work(), reports={a_pod().uid: a_report(notice=a_notice())})
    assert persisted(warned).ledger.state is State.CREATED


@pytest.mark.parametrize(
    ("word", "ending"),
    [
        ("NoValidCheckpoint", "NoValidCheckpoint"),
        ("BadNode", "BadNode"),
        ("Resurrected", "Resurrected"),
        ("RegrantResume", "Regranted"),
        ("RegrantFresh", "Regranted"),
        ("StartFailed", "StartFailed"),
    ],
)
def test_a_script_that_is_held_back_for_ever_is_ended(word: str, ending: str) -> None:
    stopping = held_back(word)
    assert stopping.ledger.state is State.STOPPING
    record = expect_ending(ended(stopping).ledger, ending)
    assert "because" in (record.message or "")


def test_a_finished_job_is_found_complete_without_training() -> None:
    expect_ending(ended(held_back("Finished")).ledger, "Completed")


def test_what_was_found_is_in_the_next_grant() -> None:
    found = a_commit(1, 40)
    after = ended(held_back("RegrantResume", found))
    record = expect_ending(after.ledger, "Regranted")
    assert record.charged is None
    assert granted(after) == found


def test_beginning_anew_the_next_grant_names_no_commit() -> None:
    spec = {**a_script_job()}
    spec["checkpoint"] = {**spec["checkpoint"], "onNoneValid": "StartFresh"}
    knowing = at_work(job=a_job(**spec), report=committed(a_report(), a_commit(1, 40)))
    (pod,) = knowing.pods
    lost = persisted(later(knowing, 60, pods=(replace(gone(pod), phase="Failed"),), nodes={}))
    assert granted(lost) == a_commit(1, 40)
    second = bound(a_pod(attempt=2), a_node("node-2"))
    report = a_report(
        state="Waiting", registered=False, step=0, seconds={}, resume=ResumeReport("fresh"),
        word=a_word("RegrantFresh"),
    )  # fmt: skip
    stopping = persisted(
        replace(lost, pods=(second,), reports={second.uid: report}, nodes=a_snapshot().nodes)
    )
    after = ended(stopping)
    expect_ending(after.ledger, "Regranted")
    assert granted(after) is None


def granted(snapshot: Snapshot) -> CommitRef | None:
    """The commit that the next pod is told of."""
    (create,) = (one for one in plan(snapshot).actions if isinstance(one, CreatePod))
    return create.grant.newest
