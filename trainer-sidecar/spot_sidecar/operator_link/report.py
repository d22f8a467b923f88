"""The report: one JSON document with the whole state, so that a lost one costs nothing. Pure."""

from dataclasses import dataclass
from typing import Any

from spot_sidecar.base.clock import timestamp
from spot_sidecar.config.spot_config import Config, Pod
from spot_sidecar.state.attempt_state import AttemptState

__all__ = ["Turn", "build_report"]

VERSION = 1


@dataclass(frozen=True, slots=True)
class Turn:
    """Which report it is: `number` grows by one within a `run`, one life of this process.

    No clock is asked: a node's may be put back.
    """

    run: str
    number: int


def build_report(
    attempt_state: AttemptState, config: Config, pod: Pod, turn: Turn
) -> dict[str, Any]:
    """The body of POST /v1/reports."""
    return (
        _identity(config, pod)
        | {
            "run": turn.run,
            "sequence": turn.number,
            "startedAt": timestamp(attempt_state.started_at),
        }
        | _progress(attempt_state)
        | _troubles(attempt_state)
    )


def _identity(config: Config, pod: Pod) -> dict[str, Any]:
    return {
        "version": VERSION,
        "namespace": config.job.namespace,
        "job": config.job.name,
        "jobUID": config.job.uid,
        "attempt": config.attempt,
        "rank": config.rank,
        "pod": pod.name,
        "podUID": pod.uid,
    }


def _progress(attempt_state: AttemptState) -> dict[str, Any]:
    return {
        "state": attempt_state.state,
        "trainer": attempt_state.trainer.to_json(),
        "resume": attempt_state.resumed.to_json() if attempt_state.resumed else None,
        "commit": attempt_state.commit.to_json() if attempt_state.commit else None,
        "found": attempt_state.found.to_json() if attempt_state.found else None,
        "commits": attempt_state.commits,
        "settled": attempt_state.settled,
        "skippedSnapshots": attempt_state.skipped_snapshots,
        "interval": attempt_state.interval or None,
        "seconds": attempt_state.seconds.to_json(),
        "replayedSteps": attempt_state.replayed_steps,
    }


def _troubles(attempt_state: AttemptState) -> dict[str, Any]:
    return {
        "notice": _notice(attempt_state),
        "word": attempt_state.word.to_json() if attempt_state.word else None,
        "memory": attempt_state.kills.to_json() if attempt_state.kills else None,
        "problem": attempt_state.problem.to_json() if attempt_state.problem else None,
        "quarantined": [{"id": id_, "why": why} for id_, why in attempt_state.quarantined.items()],
        "events": [event.to_json() for event in attempt_state.events],
        "sources": {
            name: {"healthy": health.healthy, "detail": health.detail}
            for name, health in attempt_state.sources.items()
        },
    }


def _notice(attempt_state: AttemptState) -> dict[str, Any] | None:
    if attempt_state.notice is None:
        return None
    told = timestamp(attempt_state.told_at) if attempt_state.told_at else None
    return attempt_state.notice.to_json() | {"toldAt": told}
