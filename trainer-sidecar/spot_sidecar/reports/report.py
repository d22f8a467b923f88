"""The report: one JSON document with the whole picture, so that a lost one costs nothing. Pure."""

from dataclasses import dataclass
from typing import Any

from spot_sidecar.clock import timestamp
from spot_sidecar.config import Config, Pod
from spot_sidecar.standing import Standing

__all__ = ["Turn", "build_report"]

VERSION = 1


@dataclass(frozen=True, slots=True)
class Turn:
    """Which report it is: `number` grows by one within a `run`, one life of this process.

    No clock is asked: a node's may be put back.
    """

    run: str
    number: int


def build_report(standing: Standing, config: Config, pod: Pod, turn: Turn) -> dict[str, Any]:
    """The body of POST /v1/reports."""
    return (
        _identity(config, pod)
        | {"run": turn.run, "sequence": turn.number, "startedAt": timestamp(standing.started_at)}
        | _progress(standing)
        | _troubles(standing)
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


def _progress(standing: Standing) -> dict[str, Any]:
    return {
        "state": standing.state,
        "trainer": standing.trainer.to_json(),
        "resume": standing.resumed.to_json() if standing.resumed else None,
        "commit": standing.commit.to_json() if standing.commit else None,
        "found": standing.found.to_json() if standing.found else None,
        "commits": standing.commits,
        "settled": standing.settled,
        "skippedSnapshots": standing.skipped_snapshots,
        "interval": standing.interval or None,
        "seconds": standing.seconds.to_json(),
        "replayedSteps": standing.replayed_steps,
    }


def _troubles(standing: Standing) -> dict[str, Any]:
    return {
        "notice": _notice(standing),
        "word": standing.word.to_json() if standing.word else None,
        "memory": standing.kills.to_json() if standing.kills else None,
        "problem": standing.problem.to_json() if standing.problem else None,
        "quarantined": [{"id": id_, "why": why} for id_, why in standing.quarantined.items()],
        "events": [event.to_json() for event in standing.events],
        "sources": {
            name: {"healthy": health.healthy, "detail": health.detail}
            for name, health in standing.sources.items()
        },
    }


def _notice(standing: Standing) -> dict[str, Any] | None:
    if standing.notice is None:
        return None
    told = timestamp(standing.told_at) if standing.told_at else None
    return standing.notice.to_json() | {"toldAt": told}
