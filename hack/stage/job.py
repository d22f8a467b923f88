"""One SpotTrainingJob as a user watches it."""

from __future__ import annotations

from typing import Any

from stage.kube import Kube
from stage.waiting import until

Object = dict[str, Any]


class WatchedJob:
    """Reads one job's status through kubectl; every wait has a limit and says what it saw last."""

    def __init__(self, kube: Kube, name: str) -> None:
        self.kube, self.name = kube, name

    def read(self) -> Object:
        """The whole object; empty when it is gone."""
        return self.kube.get("spottrainingjobs", self.name) or {}

    @property
    def status(self) -> Object:
        """Its status; empty before the operator saw it."""
        status: Object = self.read().get("status", {})
        return status

    def condition(self, kind: str) -> Object:
        """The condition of this type; empty when there is none."""
        conditions: list[Object] = self.status.get("conditions", [])
        return next((c for c in conditions if c["type"] == kind), {})

    def lineage(self, prefix: str) -> str:
        """Where its checkpoints are: `<prefix>/<namespace>/<name>/<uid>/`."""
        meta = self.read()["metadata"]
        return f"{prefix}/{meta['namespace']}/{meta['name']}/{meta['uid']}/"

    def pod(self, attempt: int) -> Object | None:
        """The pod of this attempt's rank 0."""
        return self.kube.get("pods", f"{self.name}-{attempt}-0")

    def node(self, attempt: int) -> str | None:
        """The node the attempt's pod was bound to."""
        pod = self.pod(attempt) or {}
        name: str | None = pod.get("spec", {}).get("nodeName")
        return name

    def record(self, attempt: int) -> Object:
        """What the status keeps of this attempt; empty before it ended."""
        records: list[Object] = self.status.get("attempts", [])
        return next((r for r in records if r["number"] == attempt), {})

    def newest(self) -> Object:
        """The newest checkpoint the operator knows of; empty before the first."""
        newest: Object = self.status.get("checkpoint", {}).get("newest") or {}
        return newest

    def until_placed(self, attempt: int, *, within: float) -> str:
        """The node of this attempt, once its pod is bound."""
        return until(
            f"attempt {attempt} of {self.name} is bound to a node",
            lambda: self.node(attempt),
            within=within,
            seen=self.summary,
        )

    def until_ending(self, attempt: int, *, within: float) -> Object:
        """The record of this attempt, once it tells how it ended."""
        return until(
            f"attempt {attempt} of {self.name} has an ending",
            lambda: record if (record := self.record(attempt)).get("ending") else None,
            within=within,
            seen=self.summary,
        )

    def until_commits(self, attempt: int, at_least: int, *, within: float) -> Object:
        """The newest checkpoint, once this attempt has committed so many steps."""
        return until(
            f"attempt {attempt} of {self.name} committed step {at_least} or later",
            lambda: (
                newest
                if (newest := self.newest()).get("attempt") == attempt
                and newest["step"] >= at_least
                else None
            ),
            within=within,
            seen=self.summary,
        )

    def until_condition(
        self, kind: str, status: str, *, reason: str | None = None, within: float
    ) -> Object:
        """The condition, once it has this status (and reason)."""
        return until(
            f"{self.name} has {kind}={status}{f' ({reason})' if reason else ''}",
            lambda: (
                found
                if (found := self.condition(kind)).get("status") == status
                and reason in (None, found.get("reason"))
                else None
            ),
            within=within,
            seen=self.summary,
        )

    def summary(self) -> Object:
        """The part of the status that explains a wait that failed."""
        status = self.status
        kept = ("state", "attempt", "notBefore", "stopping", "ranks", "progress", "checkpoint")
        conditions = {
            c["type"]: f"{c['status']} {c.get('reason')}: {c.get('message', '')[:200]}"
            for c in status.get("conditions", [])
        }
        last = status.get("attempts", [])[-2:]
        return {key: status.get(key) for key in kept} | {"conditions": conditions, "last": last}
