"""The termination message and the memory of a restarted container."""

from __future__ import annotations

import json
from pathlib import Path

from kit.clock import EPOCH
from spot_sidecar.clock import SystemClock
from spot_sidecar.keeping import Keeping
from spot_sidecar.last_word import LIMIT, last_word, write_last_word
from spot_sidecar.memory import Memory
from spot_sidecar.notices.notice import Kind, Notice
from spot_sidecar.recollection import recall, remember
from spot_sidecar.seconds import Seconds
from spot_sidecar.standing import CommitSeen, Origin, Resumed, Standing


def a_standing() -> Standing:
    return Standing(SystemClock(), 3, EPOCH)


def a_full_standing(text: str = "why") -> Standing:
    standing = a_standing()
    standing.trainer.step = 400
    standing.seconds = Seconds(1, 2, 3, 4, 5, 6)
    standing.replayed_steps = 7
    standing.resumed = Resumed("checkpoint", Origin(2, 390, "x"), 1.5, EPOCH)
    standing.commit = CommitSeen(Origin(3, 400, "y"), 10, EPOCH, 0.5, 0.1, "notice")
    standing.commits = 4
    standing.skipped_snapshots = 2
    standing.quarantined = {"z": text}
    standing.say("Superseded", text)
    standing.meet("Superseded", text)
    standing.notice = Notice(Kind.Preempt, "imds", EPOCH, EPOCH, text)
    return standing


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
    write_last_word(path, last_word(a_standing()))
    assert path.read_bytes() == last_word(a_standing())


def test_the_first_word_stands_but_finished_outranks_it() -> None:
    standing = a_standing()
    for word in ("Paused", "Refused"):
        standing.say(word, "")
    assert standing.word is not None
    assert standing.word.word == "Paused"
    standing.say("Finished", "")
    standing.say("Paused", "")
    assert standing.word.word == "Finished"


def test_a_restarted_container_knows_what_it_knew(tmp_path: Path) -> None:
    before = a_full_standing()
    Keeping(before, Memory(tmp_path / "memory"), tmp_path / "log").write()
    after = a_standing()
    recall(after, Memory(tmp_path / "memory").get("standing"))
    assert remember(after) == remember(before)
    assert after.problem is not None
    assert after.problem.kind == "Superseded"


def test_problems_that_pass_are_found_again_not_remembered() -> None:
    standing = a_standing()
    standing.meet("StoreUnreachable", "no route")
    assert remember(standing)["problem"] is None


def test_a_memory_that_was_never_written_whole_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    path.write_text('{"nonce": "ab')
    assert Memory(path).get("nonce") is None
    Memory(path).put(nonce="abcd")
    assert Memory(path).get("nonce") == "abcd"


def test_problems_keep_their_beginning_and_go_when_solved() -> None:
    standing = a_standing()
    standing.meet("StoreUnreachable", "first")
    assert standing.problem is not None
    since = standing.problem.since
    standing.meet("StoreUnreachable", "second")
    assert (standing.problem.message, standing.problem.since) == ("second", since)
    standing.solved("StagingTooSmall")
    assert standing.problem is not None
    standing.solved("StoreUnreachable", "StoreDenied")
    assert standing.problem is None


def test_a_full_volume_does_not_stop_the_training(tmp_path: Path) -> None:
    keeping = Keeping(a_standing(), Memory(tmp_path / "no" / "folder"), tmp_path / "no" / "log")
    keeping.write()
    keeping.write()
