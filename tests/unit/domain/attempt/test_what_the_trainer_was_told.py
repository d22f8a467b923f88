"""Words, signals and notices under which no exit code, not even 0, speaks for the trainer alone."""

from dataclasses import replace

import pytest
from kit.builders import (
    NOW,
    a_default_policy,
    a_job,
    a_node,
    a_notice,
    a_pod,
    a_report,
    a_snapshot,
    a_word,
    after,
    at_work,
    beside,
    bound,
    exited,
    expect_ending,
    expect_write,
    later,
    persisted,
    running,
)
from kit.jobs import with_prepare
from spot_operator.api.names import Ending, State
from spot_operator.domain.accounts.budgets import FAILURES
from spot_operator.domain.observed.rank_end import SENT
from spot_operator.domain.observed.snapshot import ContainerView, Problem, ReportView
from spot_operator.domain.state.ledger import AttemptRecord, Charge, Ledger

POD = running(a_pod())
STRICT = a_default_policy(failures={"max": 0}, interruptions={"max": 3})
BOTH = pytest.mark.parametrize("completion", ["Marker", "ExitCode"])
CODES = pytest.mark.parametrize("code", [0, 1, 94, 137, 143])
WORDS = {
    "Paused": "Unknown",
    "Refused": "TrainerRefused",
    "NoValidCheckpoint": "NoValidCheckpoint",
    "BadNode": "BadNode",
    "Resurrected": "Resurrected",
    "StartedAgain": "TrainerFailed",
    "Superseded": "Unknown",
    "UnsupportedCheckpoint": "StartFailed",
    "StartFailed": "StartFailed",
    "RegrantResume": "Regranted",
    "RegrantFresh": "Regranted",
}
"""How an attempt ends by each word but Finished, when nothing else is known."""


def ended(completion: str, code: int, report: ReportView) -> Ledger:
    """The job after its trainer ended with this code, the report being the last."""
    work = at_work(a_job(completion=completion), policies=(STRICT,))
    ledger = expect_write(
        replace(later(work, 60), pods=(exited(POD, code, at=after(60)),), reports={POD.uid: report})
    )
    return persisted(replace(work, ledger=ledger, pods=(), reports={})).ledger


def first(ledger: Ledger) -> AttemptRecord:
    return ledger.attempts[0]


@BOTH
@CODES
@pytest.mark.parametrize("word", WORDS)
def test_a_word_says_more_than_the_exit_code_behind_it(
    word: str, code: int, completion: str
) -> None:
    """A shell makes 0 of every code behind a pipe, and torchrun makes 1."""
    ledger = ended(completion, code, a_report(word=a_word(word, "because")))
    assert (first(ledger).ending, "because" in first(ledger).message) == (WORDS[word], True)


@BOTH
@CODES
@pytest.mark.parametrize(
    "kind", ["NoValidCheckpoint", "BadNode", "Resurrected", "StartedAgain", "Superseded"]
)
def test_a_problem_for_which_the_sidecar_stops_the_trainer_is_its_word(
    kind: str, code: int, completion: str
) -> None:
    ledger = ended(completion, code, a_report(problem=Problem(kind, "because")))
    assert first(ledger).ending == WORDS[kind]


@BOTH
@CODES
def test_a_trainer_that_paused_for_a_signal_of_nobody_is_neither_done_nor_failed(
    code: int, completion: str
) -> None:
    """The SDK traps SIGTERM, of which the sidecar may know nothing."""
    ledger = ended(completion, code, a_report(word=a_word("Paused", "PodDeletion from sigterm")))
    record = first(ledger)
    assert (record.ending, record.charged) == ("Unknown", Charge.INTERRUPTION)
    assert "by SIGTERM, and nothing says who sent it" in record.message
    assert ledger.state is not State.FINISHED


@pytest.mark.parametrize(
    ("kind", "deadline"), [("PodDeletion", 120.0), ("Preempt", -7000.0), ("Preempt", None)]
)
def test_exit_0_of_a_trainer_that_was_told_to_end_is_no_failure(
    kind: str, deadline: float | None
) -> None:
    long_ago = 30.0 if kind == "PodDeletion" else -7200.0
    notice = a_notice(kind, observed=long_ago, deadline=deadline)  # type: ignore[arg-type]
    ledger = ended("ExitCode", 0, a_report(notice=notice))
    record = first(ledger)
    assert (record.ending, record.charged) == ("Unknown", Charge.INTERRUPTION)
    assert "told to end, by imds" in record.message
    assert ledger.state is not State.FINISHED


def test_a_runtime_that_lost_the_state_cannot_say_that_training_is_complete() -> None:
    work = at_work(a_job(completion="ExitCode"))
    ledger = expect_write(replace(work, pods=(exited(POD, 0, "Unknown"),)))
    assert expect_ending(ledger, "Unknown").charged is Charge.INTERRUPTION


@pytest.mark.parametrize("code", range(1, 256))
def test_only_what_a_process_does_to_itself_is_a_failure(code: int) -> None:
    """By exit code alone: crashes raise their own signals, every other one was sent."""
    record = first(ended("Marker", code, a_report()))
    sent = {128 + signal for signal in (1, 2, 3, 9, 10, 12, 15)}
    expected = {93: "TrainerRefused", 94: "Unknown", **dict.fromkeys(sent, "Unknown")}
    assert record.ending == expected.get(code, "TrainerFailed")
    if code in sent:
        assert SENT[code] in record.message


PATIENT = a_default_policy(failures={"max": 1}, interruptions={"max": 3})
STARTING = persisted(a_snapshot(job=a_job(template=with_prepare()), policies=(PATIENT,)))


def blocked(by: ContainerView, **changes: object) -> AttemptRecord:
    """The record of a first attempt whose pod failed before its trainer began."""
    waiting = ContainerView("trainer", "waiting", "PodInitializing")
    pod = replace(bound(a_pod()), phase="Failed", trainer=waiting, others=(by,))
    ledger = expect_write(replace(STARTING, pods=(pod,), **changes))  # type: ignore[arg-type]
    return first(ledger)


def an_end(name: str, code: int, reason: str = "Error") -> ContainerView:
    return ContainerView(name, "terminated", reason, exit_code=code, started_at=NOW, is_init=True)


@pytest.mark.parametrize(
    ("by", "changes", "ending"),
    [
        (an_end("prepare", 3), {}, Ending.START_FAILED),
        (an_end("prepare", 137, "OOMKilled"), {}, Ending.START_FAILED),
        *((an_end("prepare", code), {}, Ending.PLATFORM_TROUBLE) for code in sorted(SENT)),
        (an_end("prepare", -1), {}, Ending.PLATFORM_TROUBLE),
        (
            an_end("prepare", 255),
            {"nodes": {"node-1": a_node(ready=False)}},
            Ending.PLATFORM_TROUBLE,
        ),
        (an_end("mesh-init", 1), {}, Ending.PLATFORM_TROUBLE),
        (an_end("mesh-init", 137, "OOMKilled"), {}, Ending.PLATFORM_TROUBLE),
        (replace(an_end("mesh-proxy", 1), is_init=False), {}, Ending.PLATFORM_TROUBLE),
    ],
)
def test_what_ends_before_the_trainer_begins_is_the_jobs_only_if_it_did_it_itself(
    by: ContainerView, changes: dict[str, object], ending: Ending
) -> None:
    record = blocked(by, **changes)
    assert (record.ending, record.charged is Charge.FAILURE) == (ending, ending in FAILURES)
    assert f"container {by.name} " in record.message


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ErrImagePull", "proxy:1: not found"),
        ("InvalidImageName", ""),
        ("CreateContainerConfigError", 'configmap "proxy" not found'),
        ("CreateContainerError", "no such device"),
        ("CrashLoopBackOff", "back-off 10s restarting failed container"),
        ("RunContainerError", "exec: no such file or directory"),
    ],
)
@pytest.mark.parametrize("is_init", [True, False])
def test_a_container_that_a_webhook_added_is_not_the_jobs(
    reason: str, message: str, is_init: bool
) -> None:
    added = ContainerView("mesh-proxy", "waiting", reason, message, is_init=is_init)
    pod = replace(bound(a_pod()), others=(added,))
    told = persisted(replace(STARTING, pods=(pod,)))
    assert told.ledger.state is State.CREATED
    given_up = persisted(later(told, 3600))
    over = persisted(later(given_up, 5, pods=(replace(pod, phase="Failed"),)))
    record = first(over.ledger)
    assert (record.ending, record.charged) == ("PlatformTrouble", None)
    assert "it is not in spec.template, so a webhook of the cluster added it" in record.message
    assert over.ledger.state is not State.FINISHED


def test_an_added_container_that_cannot_start_does_not_end_a_trainer_that_runs() -> None:
    added = ContainerView("mesh-proxy", "waiting", "ErrImagePull", "proxy:1: not found")
    work = at_work()
    seen = persisted(later(work, 7200, pods=(beside(POD, added),)))
    assert seen.ledger.state is State.CREATED


@pytest.mark.parametrize("word", ["StartFailed", "UnsupportedCheckpoint"])
def test_a_state_that_no_attempt_was_ever_given_is_not_waited_for_without_end(word: str) -> None:
    """The trainer runs when it asks for its state, as one that resumes another job's does."""
    told = a_report(resume=None, step=0, state="Waiting", word=a_word(word, "no room for it"))
    seen = STARTING
    charged: list[Charge | None] = []
    while seen.ledger.state is not State.FINISHED and len(charged) < 5:
        pod = exited(running(a_pod(seen.ledger.attempt)), 94, at=seen.now)
        seen = persisted(later(seen, 60, pods=(pod,), reports={pod.uid: told}))
        charged.append(seen.ledger.attempts[len(charged)].charged)
        seen = persisted(later(seen, 3600, pods=(), reports={}))
    assert charged == [Charge.FAILURE, None]
    assert seen.ledger.attempts[-1].ending == "StartFailed"


def test_trouble_with_the_state_of_a_job_that_had_one_is_not_its_own() -> None:
    work = at_work(policies=(STRICT,))
    elsewhere = {name: node for name, node in work.nodes.items() if name != "node-1"}
    lost = replace(persisted(replace(work, pods=(), nodes=elsewhere)), nodes=work.nodes)
    pod = exited(running(a_pod(lost.ledger.attempt)), 94)
    told = a_report(resume=None, step=0, state="Waiting", word=a_word("StartFailed", "damaged"))
    over = persisted(replace(lost, pods=(pod,), reports={pod.uid: told}))
    ends = [(one.ending, one.charged) for one in over.ledger.attempts[:2]]
    assert ends == [("Preempted", Charge.INTERRUPTION), ("PlatformTrouble", None)]
