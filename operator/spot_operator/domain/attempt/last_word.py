"""The sidecar's termination message: what the kubelet keeps when every report was lost.

JSON, version 1, at most 4096 bytes:
{"version", "word", "reason", "step", "commit": {"attempt", "step", "id"}, "problem", "notice",
"memory": {"oom", "oomKill", "limitBytes", "secondsBeforeEnd"}}; older sidecars leave "memory" out.
It comes from inside the pod, so nothing in it is trusted to have the right shape.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from spot_operator.domain.attempt.notices import GRAVITY
from spot_operator.domain.formats.foreign_json import read_object
from spot_operator.domain.formats.timestamps import clipped
from spot_operator.domain.observed.snapshot import PodView, Problem
from spot_operator.domain.state.ledger import CommitRef, MemoryKills, Notice, Word

TEXT_LIMIT: Final = 1024
LONGEST: Final = 1e9
"""Seconds: a longer time is not believed."""


@dataclass(frozen=True, slots=True)
class LastWord:
    """What could be read; everything else is None."""

    word: Word | None = None
    step: int | None = None
    commit: CommitRef | None = None
    problem: Problem | None = None
    notice: Notice | None = None
    memory: MemoryKills | None = None


def last_word(pod: PodView | None) -> LastWord:
    """The last word in the pod's sidecar status, of its newest run that left one."""
    if pod is None:
        return LastWord()
    messages = (pod.sidecar.message if pod.sidecar.state == "terminated" else "",)
    return _read(next(filter(None, (*messages, pod.sidecar.last_message)), ""))


def _read(text: str) -> LastWord:
    body = read_object(text)
    if body.get("version") != 1:
        return LastWord()
    return LastWord(
        word=_word(body),
        step=_whole(body.get("step")),
        commit=_commit(body.get("commit")),
        problem=_problem(body.get("problem")),
        notice=_notice(body.get("notice")),
        memory=_memory(body.get("memory")),
    )


def _word(body: dict[str, Any]) -> Word | None:
    word = _text(body.get("word"))
    return Word(word, _text(body.get("reason"))) if word else None


def _commit(body: object) -> CommitRef | None:
    if not isinstance(body, dict):
        return None
    attempt, step, name = _whole(body.get("attempt")), _whole(body.get("step")), body.get("id")
    if attempt is None or step is None or not isinstance(name, str) or not 0 < len(name) <= 64:
        return None
    return CommitRef(attempt, step, name)


def _problem(body: object) -> Problem | None:
    if not isinstance(body, dict) or not _text(body.get("kind")):
        return None
    return Problem(_text(body.get("kind")), _text(body.get("message")), _time(body.get("since")))


def _notice(body: object) -> Notice | None:
    if not isinstance(body, dict) or _text(body.get("kind")) not in GRAVITY:
        return None
    observed = _time(body.get("observedAt"))
    if observed is None:
        return None
    deadline = _time(body.get("deadline"))
    return Notice(
        body["kind"], deadline, _text(body.get("source")), observed, _text(body.get("raw"))
    )


def _memory(body: object) -> MemoryKills | None:
    if not isinstance(body, dict):
        return None
    oom, oom_kill = _whole(body.get("oom")), _whole(body.get("oomKill"))
    if oom is None or oom_kill is None:
        return None
    limit, before = _whole(body.get("limitBytes"), 2**53), _seconds(body.get("secondsBeforeEnd"))
    return MemoryKills(oom, oom_kill, limit, before)


def _seconds(value: object) -> float | None:
    if type(value) not in {int, float} or not 0 <= value < LONGEST:  # type: ignore[operator]
        return None
    return float(value)  # type: ignore[arg-type]


def _whole(value: object, most: int = 10**12) -> int | None:
    return value if type(value) is int and 0 <= value < most else None


def _text(value: object) -> str:
    return value[:TEXT_LIMIT] if isinstance(value, str) else ""


def _time(value: object) -> datetime | None:
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return clipped(read) if read is not None and read.tzinfo is not None else None
