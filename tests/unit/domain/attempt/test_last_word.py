"""The sidecar's termination message, read with suspicion."""

import json
from dataclasses import replace
from typing import Any

import pytest
from kit.builders import a_commit, a_notice, a_pod, exited, saying
from spot_operator.domain.attempt.last_word import LastWord, last_word
from spot_operator.domain.observed.snapshot import ContainerView, PodView, Problem
from spot_operator.domain.state.ledger import Word

FULL = {
    "word": "Paused",
    "reason": "saved at step 100",
    "step": 100,
    "commit": {"attempt": 1, "step": 100, "id": a_commit().id},
    "problem": {"kind": "StoreDenied", "message": "403", "since": None},
    "notice": {
        "kind": "Preempt",
        "deadline": "2026-03-01T12:02:00Z",
        "source": "imds",
        "observedAt": "2026-03-01T12:00:00Z",
        "raw": "",
    },
}


def test_everything_is_read() -> None:
    assert last_word(saying(exited(a_pod(), 0), **FULL)) == LastWord(
        word=Word("Paused", "saved at step 100"),
        step=100,
        commit=a_commit(),
        problem=Problem("StoreDenied", "403"),
        notice=a_notice(),
    )


def test_the_message_of_the_run_before_counts_while_the_sidecar_runs() -> None:
    message = json.dumps({"version": 1, "word": "Refused", "reason": ""})
    sidecar = ContainerView("spot-sidecar", "running", last_message=message)
    assert last_word(replace(a_pod(), sidecar=sidecar)).word == Word("Refused")


def terminated(message: str) -> PodView:
    return replace(a_pod(), sidecar=ContainerView("spot-sidecar", "terminated", message=message))


@pytest.mark.parametrize(
    "message",
    ["", "panic: out of cheese", "[]", "null", '{"version": 2, "word": "Finished"}', "[" * 4000],
)
def test_what_is_not_a_last_word_says_nothing(message: str) -> None:
    assert last_word(terminated(message)) == LastWord()


@pytest.mark.parametrize(
    "body",
    [
        {"word": 7, "step": "100", "commit": [], "problem": "bad", "notice": 0},
        {"word": "", "step": -1, "commit": {"attempt": 1, "step": True, "id": "x"}},
        {"commit": {"attempt": 1, "step": 2, "id": "x" * 65}},
        {"notice": {"kind": "Preempt", "observedAt": "yesterday"}},
        {"notice": {"kind": ["Preempt"], "observedAt": "2026-03-01T12:00:00Z"}},
        {"notice": {"kind": {}, "observedAt": "2026-03-01T12:00:00Z"}},
        {"notice": {"kind": "Doom", "observedAt": "2026-03-01T12:00:00Z"}},
        {"notice": {"kind": "Preempt", "observedAt": "2026-03-01T12:00:00"}},
    ],
)
def test_what_has_another_shape_is_left_out(body: dict[str, Any]) -> None:
    assert last_word(terminated(json.dumps({"version": 1, **body}))) == LastWord()


def test_what_it_says_can_be_stored() -> None:
    """Python makes lone surrogates of a file name in another encoding; no status can hold one."""
    commit = {"attempt": 1, "step": 2, "id": "caf\udce9"}
    body = {"version": 1, "word": "Refused", "reason": "no caf\udce9.bin", "commit": commit}
    said = last_word(terminated(json.dumps(body)))
    assert said.word == Word("Refused", "no caf?.bin")
    assert said.commit is not None
    assert said.commit.id == "caf?"


def test_a_pod_that_is_gone_says_nothing() -> None:
    assert last_word(None) == LastWord()
