"""The termination message and the memory of a restarted container."""

from __future__ import annotations

import json
from pathlib import Path

from kit.clock import EPOCH
from spot_sidecar.base.clock import SystemClock
from spot_sidecar.notices.notice import Kind, Notice
from spot_sidecar.state.attempt_state import AttemptState, CommitSeen, Origin, Resumed
from spot_sidecar.state.last_word import LIMIT, last_word, write_last_word
from spot_sidecar.state.pod_journal import PodJournal
from spot_sidecar.state.state_persistence import persistent_state, restore_state
from spot_sidecar.state.state_writer import StateWriter
from spot_sidecar.state.time_buckets import TimeBuckets


def a_state() -> AttemptState:
    return AttemptState(SystemClock(), 3, EPOCH)


def a_full_standing(text: str = "why") -> AttemptState:
    attempt_state = a_state()
    attempt_state.trainer.step = 400
    attempt_state.seconds = TimeBuckets(1, 2, 3, 4, 5, 6)
    attempt_state.replayed_steps = 7
    attempt_state.resumed = Resumed("checkpoint", Origin(2, 390, "x"), 1.5, EPOCH)
    attempt_state.commit = CommitSeen(Origin(3, 400, "y"), 10, EPOCH, 0.5, 0.1, "notice")
    attempt_state.commits = 4
    attempt_state.skipped_snapshots = 2
    attempt_state.quarantined = {"z": text}
    attempt_state.say("Superseded", text)
    attempt_state.meet("Superseded", text)
    attempt_state.notice = Notice(Kind.Preempt, "imds", EPOCH, EPOCH, text)
    return attempt_state


def test_it_holds_what_the_operator_needs() -> None:
    message = json.loads(last_word(a_full_standing()))
    assert message["version"] == 1
    assert (message["word"], message["reason"], message["step"]) == ("Superseded", "why", 400)
    assert message["commit"] == {"attempt": 3, "step": 400, "id": "y"}
    assert message["problem"]["kind"] == "Superseded"
    assert message["notice"]["kind"] == "Preempt"


def test_it_is_never_longer_than_the_kubelet_keeps() -> None:
    for text in ("x" * 5000, "\x00" * 5000, "é" * 5000, "😀" * 5000):
        body = last_word(a_full_standing(text))
        assert len(body) <= LIMIT
        assert json.loads(body)["word"] == "Superseded"


def test_a_shorter_word_leaves_nothing_of_the_longer_one(tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    write_last_word(path, last_word(a_full_standing("long" * 200)))
    write_last_word(path, last_word(a_state()))
    assert path.read_bytes() == last_word(a_state())


def test_the_first_word_stands_but_finished_outranks_it() -> None:
    attempt_state = a_state()
    for word in ("Paused", "Refused"):
        attempt_state.say(word, "")
    assert attempt_state.word is not None
    assert attempt_state.word.word == "Paused"
    attempt_state.say("Finished", "")
    attempt_state.say("Paused", "")
    assert attempt_state.word.word == "Finished"


def test_a_restarted_container_knows_what_it_knew(tmp_path: Path) -> None:
    before = a_full_standing()
    StateWriter(before, PodJournal(tmp_path / "memory"), tmp_path / "log").write()
    after = a_state()
    restore_state(after, PodJournal(tmp_path / "memory").get("state"))
    assert persistent_state(after) == persistent_state(before)
    assert after.problem is not None
    assert after.problem.kind == "Superseded"


def test_problems_that_pass_are_found_again_not_remembered() -> None:
    attempt_state = a_state()
    attempt_state.meet("StoreUnreachable", "no route")
    assert persistent_state(attempt_state)["problem"] is None


def test_a_memory_that_was_never_written_whole_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    path.write_text('{"nonce": "ab')
    assert PodJournal(path).get("nonce") is None
    PodJournal(path).put(nonce="abcd")
    assert PodJournal(path).get("nonce") == "abcd"


def test_problems_keep_their_beginning_and_go_when_solved() -> None:
    attempt_state = a_state()
    attempt_state.meet("StoreUnreachable", "first")
    assert attempt_state.problem is not None
    since = attempt_state.problem.since
    attempt_state.meet("StoreUnreachable", "second")
    assert (attempt_state.problem.message, attempt_state.problem.since) == ("second", since)
    attempt_state.solved("StagingTooSmall")
    assert attempt_state.problem is not None
    attempt_state.solved("StoreUnreachable", "StoreDenied")
    assert attempt_state.problem is None


def test_a_full_volume_does_not_stop_the_training(tmp_path: Path) -> None:
    state_writer = StateWriter(
        a_state(), PodJournal(tmp_path / "no" / "folder"), tmp_path / "no" / "log"
    )
    state_writer.write()
    state_writer.write()
