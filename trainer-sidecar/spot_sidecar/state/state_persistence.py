"""What of the attempt's state survives a restart of the container, as JSON and back."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from spot_sidecar.base.clock import parse_time, timestamp
from spot_sidecar.state.attempt_state import (
    FINAL_PROBLEMS,
    AttemptState,
    CommitSeen,
    Origin,
    Problem,
    Resumed,
    Word,
)
from spot_sidecar.state.oom_kills import Kills
from spot_sidecar.state.time_buckets import TimeBuckets

__all__ = ["persistent_state", "restore_state"]


def persistent_state(attempt_state: AttemptState) -> dict[str, Any]:
    """The part to persist; a problem that may pass is found again if it still exists."""
    problem = attempt_state.problem
    return {
        "startedAt": timestamp(attempt_state.started_at),
        "seconds": attempt_state.seconds.to_json(),
        "replayedSteps": attempt_state.replayed_steps,
        "resumed": attempt_state.resumed.to_json() if attempt_state.resumed else None,
        "commit": attempt_state.commit.to_json() if attempt_state.commit else None,
        "commits": attempt_state.commits,
        "skippedSnapshots": attempt_state.skipped_snapshots,
        "word": attempt_state.word.to_json() if attempt_state.word else None,
        "memory": attempt_state.kills.to_json() if attempt_state.kills else None,
        "problem": problem.to_json() if problem and problem.kind in FINAL_PROBLEMS else None,
        "quarantined": attempt_state.quarantined,
    }


def restore_state(attempt_state: AttemptState, saved: Mapping[str, Any]) -> None:
    """Restore what `persistent_state` returned; nothing saved changes nothing."""
    if not saved:
        return
    attempt_state.started_at = parse_time(saved["startedAt"])
    attempt_state.seconds = _seconds(saved["seconds"])
    attempt_state.replayed_steps = saved["replayedSteps"]
    attempt_state.resumed = _resumed(saved["resumed"])
    attempt_state.commit = _commit(saved["commit"])
    attempt_state.commits = saved["commits"]
    attempt_state.skipped_snapshots = saved["skippedSnapshots"]
    if word := saved["word"]:
        attempt_state.word = Word(word["word"], word["reason"], _at(word))
    if kills := saved.get("memory"):
        attempt_state.kills = Kills.from_json(kills)
    if problem := saved["problem"]:
        attempt_state.problem = Problem(
            problem["kind"], problem["message"], parse_time(problem["since"])
        )
    attempt_state.quarantined = dict(saved["quarantined"])


def _seconds(raw: Mapping[str, float]) -> TimeBuckets:
    return TimeBuckets(
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
