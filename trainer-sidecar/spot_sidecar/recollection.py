"""What a restarted container must not forget of its attempt's picture, as JSON and back."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from spot_sidecar.clock import parse_time, timestamp
from spot_sidecar.oom import Kills
from spot_sidecar.seconds import Seconds
from spot_sidecar.standing import (
    FINAL_PROBLEMS,
    CommitSeen,
    Origin,
    Problem,
    Resumed,
    Standing,
    Word,
)

__all__ = ["recall", "remember"]


def remember(standing: Standing) -> dict[str, Any]:
    """The lasting part of the picture; a problem that may pass is found again if it is there."""
    problem = standing.problem
    return {
        "startedAt": timestamp(standing.started_at),
        "seconds": standing.seconds.to_json(),
        "replayedSteps": standing.replayed_steps,
        "resumed": standing.resumed.to_json() if standing.resumed else None,
        "commit": standing.commit.to_json() if standing.commit else None,
        "commits": standing.commits,
        "skippedSnapshots": standing.skipped_snapshots,
        "word": standing.word.to_json() if standing.word else None,
        "memory": standing.kills.to_json() if standing.kills else None,
        "problem": problem.to_json() if problem and problem.kind in FINAL_PROBLEMS else None,
        "quarantined": standing.quarantined,
    }


def recall(standing: Standing, memory: Mapping[str, Any]) -> None:
    """Put what `remember` wrote into a new picture; an empty memory changes nothing."""
    if not memory:
        return
    standing.started_at = parse_time(memory["startedAt"])
    standing.seconds = _seconds(memory["seconds"])
    standing.replayed_steps = memory["replayedSteps"]
    standing.resumed = _resumed(memory["resumed"])
    standing.commit = _commit(memory["commit"])
    standing.commits = memory["commits"]
    standing.skipped_snapshots = memory["skippedSnapshots"]
    if word := memory["word"]:
        standing.word = Word(word["word"], word["reason"], _at(word))
    if kills := memory.get("memory"):
        standing.kills = Kills.from_json(kills)
    if problem := memory["problem"]:
        standing.problem = Problem(
            problem["kind"], problem["message"], parse_time(problem["since"])
        )
    standing.quarantined = dict(memory["quarantined"])


def _seconds(raw: Mapping[str, float]) -> Seconds:
    return Seconds(
        start_up=raw["startUp"],
        restore=raw["restore"],
        productive=raw["productive"],
        replayed=raw["replayed"],
        checkpoint_stall=raw["checkpointStall"],
        drain=raw["drain"],
    )


def _origin(raw: Mapping[str, Any] | None) -> Origin | None:
    return Origin(raw["attempt"], raw["step"], raw["id"], raw.get("lineage")) if raw else None


def _resumed(raw: Mapping[str, Any] | None) -> Resumed | None:
    if raw is None:
        return None
    return Resumed(raw["decision"], _origin(raw["from"]), raw["seconds"], _at(raw))


def _commit(raw: Mapping[str, Any] | None) -> CommitSeen | None:
    if raw is None:
        return None
    return CommitSeen(
        origin=Origin(raw["attempt"], raw["step"], raw["id"]),
        bytes=raw["bytes"],
        committed_at=parse_time(raw["committedAt"]),
        write_seconds=raw["writeSeconds"],
        stall_seconds=raw["stallSeconds"],
        reason=raw["reason"],
    )


def _at(raw: Mapping[str, Any]) -> datetime:
    return parse_time(raw["at"])
