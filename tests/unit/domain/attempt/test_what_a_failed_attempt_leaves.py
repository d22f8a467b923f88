"""Why it failed: the last lines of its trainer in its record, and its pods for `kubectl logs`."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.builders import (
    a_commit,
    a_default_policy,
    a_job,
    a_pod,
    a_report,
    a_snapshot,
    a_word,
    after,
    at_work,
    committed,
    exited,
    expect_actions,
    gone,
    later,
    persisted,
    running,
    terminating,
    the_condition,
)
from spot_operator.api.names import Condition, State
from spot_operator.domain.actions import CreatePod, DeletePod
from spot_operator.domain.formats.text import LAST_LINES, LINES_KEPT, last_lines
from spot_operator.domain.observed.snapshot import ContainerView, PodView, Snapshot
from spot_operator.domain.plan import plan
from spot_operator.domain.state.ledger import AttemptRecord, Charge

TRACEBACK = """Traceback (most recent call last):
  File "/app/train.py", line 12, in <module>
    loss = step(batch)
ValueError: bad shape (3, 4)
"""


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("", ""),
        ("\n\n  \n", ""),
        ("ValueError: bad\n", "ValueError: bad"),
        (TRACEBACK, TRACEBACK.rstrip()),
        ("\x1b[1;31mERROR\x1b[0m no such file\n", "ERROR no such file"),
        ("\x1b]0;title\x07done", "done"),
        (" 10%|█   |\r 50%|██  |\r100%|████|\nkilled\n", "100%|████|\nkilled"),
        ("12 %\r\n13 %\r\n", "12 %\n13 %"),
        ("a\x00b\x08c\tend", "a b c   end"),
        ("bad \udcff bytes", "bad  bytes"),
        (
            "\n".join(f"line {k}" for k in range(100)),
            "\n".join(f"line {k}" for k in range(88, 100)),
        ),
        ("x" * 10_000 + "\nlast", "last"),
        ("begin" + "x" * 10_000 + "end", "…" + "x" * (LAST_LINES - 6) + "end"),
    ],
)
def test_the_end_of_a_log_is_what_a_person_can_read(written: str, kept: str) -> None:
    assert last_lines(written) == kept


@given(st.text(max_size=3000), st.integers(16, LAST_LINES))
def test_it_is_bounded_whatever_was_written(written: str, limit: int) -> None:
    kept = last_lines(written, limit)
    assert len(kept.encode()) <= limit
    assert len(kept.split("\n")) <= LINES_KEPT
    assert all(one.isprintable() or one == "\n" for one in kept)
    assert last_lines(kept, limit) == kept


def the_record(snapshot: Snapshot) -> AttemptRecord:
    return next(one for one in persisted(snapshot).ledger.attempts if one.ending)


def ended(pod: PodView, report: bool = True) -> Snapshot:
    work = at_work(policies=(a_default_policy(),))
    return replace(later(work, 60), pods=(pod,), reports=work.reports if report else {})


POD = running(a_pod())


def test_a_failed_attempt_has_the_last_lines_of_its_trainer() -> None:
    record = the_record(ended(exited(POD, 1, message=TRACEBACK)))
    assert record.last_lines == TRACEBACK.rstrip()
    assert record.message.endswith("ValueError: bad shape (3, 4)")


def test_of_a_long_log_the_message_quotes_the_end() -> None:
    record = the_record(ended(exited(POD, 1, message="epoch 1\n" * 300 + TRACEBACK)))
    assert "ValueError: bad shape (3, 4)" in record.message
    assert len(record.last_lines.encode()) <= LAST_LINES


def test_the_lines_of_the_newest_failed_attempts_stay() -> None:
    seen = failing(6)
    records = tuple(replace(one, last_lines="why") for one in seen.ledger.attempts[:-1])
    written = replace(seen.ledger, attempts=(*records, seen.ledger.attempts[-1]))
    pod = exited(seen.pods[-1], 1, message="why")
    over = persisted(replace(later(seen, 60), ledger=written, pods=(*seen.pods[:-1], pod)))
    assert [one.number for one in over.ledger.attempts if one.last_lines] == [4, 5, 6]


def test_a_trainer_killed_for_memory_leaves_its_lines_too() -> None:
    record = the_record(ended(exited(POD, 137, "OOMKilled", "loading the data set\n")))
    assert (record.ending, record.last_lines) == ("OutOfMemory", "loading the data set")


def test_an_init_container_that_failed_speaks_for_a_trainer_that_never_began() -> None:
    fetch = ContainerView("fetch", "terminated", "Error", "404: no such data set", exit_code=1)
    pod = replace(a_pod(), phase="Failed", node_name="node-1", others=(fetch,))
    never = replace(persisted(a_snapshot()), pods=(pod,))
    assert the_record(later(never, 60)).last_lines == "404: no such data set"


@pytest.mark.parametrize(
    "pod",
    [
        gone(terminating(exited(POD, 143, message="SIGTERM\n"))),
        exited(POD, 0, message="done\n"),
    ],
)
def test_others_have_none(pod: PodView) -> None:
    seen = ended(pod)
    finished = {uid: replace(one, word=a_word("Finished")) for uid, one in seen.reports.items()}
    if pod.trainer.exit_code == 0:
        seen = replace(seen, reports=finished)
    assert the_record(seen).last_lines == ""


# The pods.


def failing(number: int, cleanup: str = "KeepFailed", endings: str = "") -> Snapshot:
    """A job in attempt `number`; each before it ended as `endings` says: Failed or Interrupted."""
    work = at_work(a_job(podCleanup=cleanup), policies=(a_default_policy(failures={"max": 50}),))
    kinds = endings or "F" * (number - 1)
    records = tuple(
        AttemptRecord(
            number=k,
            created_at=after(0),
            ended_at=after(1),
            ending="TrainerFailed" if kind == "F" else "Preempted",
            charged=Charge.FAILURE if kind == "F" else Charge.INTERRUPTION,
        )
        for k, kind in enumerate(kinds, 1)
    )
    current = replace(work.ledger.attempts[-1], number=number)
    rank = replace(work.ledger.ranks[0], uid=f"uid-of-digits-{number}-0")
    ledger = replace(work.ledger, attempt=number, attempts=(*records, current), ranks=(rank,))
    former = tuple(exited(running(a_pod(k)), 1) for k in range(1, number))
    pods = (*former, running(a_pod(number)))
    reports = {pods[-1].uid: a_report()}
    return persisted(replace(work, ledger=ledger, pods=pods, reports=reports))


def removed(snapshot: Snapshot) -> set[int]:
    """The attempts whose pods go now."""
    names = [one.name for one in plan(snapshot).actions if isinstance(one, DeletePod)]
    return {int(name.split("-")[1]) for name in names}


@pytest.mark.parametrize(
    ("cleanup", "endings", "goes"),
    [
        ("KeepFailed", "F", set()),
        ("KeepFailed", "FFF", set()),
        ("KeepFailed", "FFFFF", {1, 2}),
        ("KeepFailed", "FIFIF", {2, 4}),
        ("KeepFailed", "IIFII", {1, 2, 4, 5}),
        ("DeleteAll", "FFF", {1, 2, 3}),
    ],
)
def test_the_pods_of_the_newest_failed_attempts_stay(
    cleanup: str, endings: str, goes: set[int]
) -> None:
    assert removed(failing(len(endings) + 1, cleanup, endings)) == goes


def test_a_running_pod_of_a_failed_attempt_never_stays() -> None:
    seen = failing(3)
    zombie = replace(seen, pods=(running(a_pod(1)), *seen.pods[1:]))
    assert removed(zombie) == {1}


def test_what_is_kept_is_in_the_way_of_no_attempt() -> None:
    seen = failing(3)
    pod = exited(seen.pods[-1], 1)
    failed = persisted(replace(later(seen, 60), pods=(*seen.pods[:-1], pod)))
    assert failed.ledger.not_before is not None
    wait = (failed.ledger.not_before - failed.now).total_seconds()
    due = persisted(later(failed, wait))
    (create,) = expect_actions(due)
    assert isinstance(create, CreatePod)
    assert create.attempt == 4


def test_a_failed_job_keeps_them_beside_those_of_its_last_attempt() -> None:
    seen = failing(5)
    refused = exited(seen.pods[-1], 93)
    over = persisted(replace(later(seen, 60), pods=(*seen.pods[:-1], refused)))
    assert over.ledger.state is State.FINISHED
    assert removed(over) == {1}


def test_a_completed_job_keeps_none() -> None:
    seen = failing(3)
    report = replace(committed(a_report(), a_commit(3)), word=a_word("Finished"))
    pod = exited(seen.pods[-1], 0)
    done = persisted(
        replace(later(seen, 60), pods=(*seen.pods[:-1], pod), reports={pod.uid: report})
    )
    assert the_condition(done.ledger, Condition.SUCCEEDED).status == "True"
    assert done.ledger.finished_at == done.now
    assert removed(done) == {1, 2, 3}
