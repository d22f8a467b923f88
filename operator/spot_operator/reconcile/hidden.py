"""Pods that our watch does not show, and that exist all the same.

We follow pods by their labels, and a person or a controller may take those off a pod that runs. To
our watch that is its deletion, and an attempt begun for it would train beside it. So the API server
is asked by name about each pod of the attempt that is out of sight, once if it is gone, for a uid
never comes back.
"""

import logging
from collections.abc import Iterable
from typing import Any, Final

from spot_operator.api import names
from spot_operator.control.client import Client
from spot_operator.control.errors import NotFound
from spot_operator.control.resource import PODS
from spot_operator.domain.actions import LabelPod
from spot_operator.domain.observed.snapshot import JobKey, PodView, Snapshot
from spot_operator.domain.state.ledger import RankRecord

__all__ = ["LOOK_SECONDS", "Hidden"]

log = logging.getLogger(__name__)

Json = dict[str, Any]

LOOK_SECONDS: Final = 10.0
"""No news comes of a hidden pod."""


class Hidden:
    """What is known to be gone, by job, and what ran when it was last seen."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._gone: dict[JobKey, frozenset[str]] = {}
        self._ran: dict[JobKey, frozenset[str]] = {}
        self._told: set[str] = set()

    async def look(self, snapshot: Snapshot) -> list[Json] | None:
        """Pods of the current attempt that are there and out of sight, with the labels that they
        should have; None: nobody had to be asked.

        Raises:
            ApiError: the API server does not say whether one is there.
        """
        ran = self._ran.get(snapshot.key, frozenset())
        records = tuple(_out_of_sight(snapshot, ran))
        known = self._gone.get(snapshot.key, frozenset())
        asked = [one for one in records if one.uid not in known]
        gone = known & {one.uid for one in records}
        found = []
        for record in asked:
            pod = await self._there(snapshot, record)
            if pod is None:
                gone |= {record.uid}
            else:
                found.append(pod)
        self._tell(snapshot.key, found, {one.uid for one in snapshot.ledger.ranks})
        _keep(self._gone, snapshot.key, gone)
        hidden = {pod["metadata"]["uid"] for pod in found}
        _keep(self._ran, snapshot.key, frozenset(_running(snapshot)) | hidden)
        return found if asked else None

    def _tell(self, key: JobKey, found: list[Json], ranks: set[str]) -> None:
        """Once for each time that one is out of sight."""
        for pod in found:
            meta = pod["metadata"]
            if meta["uid"] not in self._told:
                log.warning(
                    "%s: pod %s is without our labels: they are put back", key, meta["name"]
                )
        self._told -= ranks
        self._told |= {pod["metadata"]["uid"] for pod in found}

    async def _there(self, snapshot: Snapshot, record: RankRecord) -> Json | None:
        key, attempt = snapshot.key, snapshot.ledger.attempt
        name = names.pod_name(key.name, attempt, record.rank)
        try:
            pod = await self._client.get(PODS, name, namespace=key.namespace)
        except NotFound:
            return None
        meta = pod["metadata"]
        if meta["uid"] != record.uid or snapshot.job is None:
            return None
        ours = names.pod_labels(key.name, snapshot.job.uid, attempt, record.rank)
        return {**pod, "metadata": {**meta, "labels": {**(meta.get("labels") or {}), **ours}}}


def relabelling(pods: Iterable[Json]) -> tuple[LabelPod, ...]:
    """The writes that bring them into sight again."""
    return tuple(_labelling(pod["metadata"]) for pod in pods)


def _labelling(meta: Json) -> LabelPod:
    ours = {name: meta["labels"][name] for name in names.LABELS if name != names.LABEL_PURGE}
    return LabelPod(meta["name"], meta["uid"], ours)


def _out_of_sight(snapshot: Snapshot, ran: frozenset[str]) -> Iterable[RankRecord]:
    """Ranks whose pod was seen, and is not seen now, without its end on record or, if it is among
    those that `ran`, without its own end: what runs beside a trainer may outlive it."""
    views = {pod.uid: pod for pod in snapshot.pods}
    for record in snapshot.ledger.ranks:
        open_end = record.ended is None or record.uid in ran
        if open_end and not _is_seen(snapshot, record, views.get(record.uid)):
            yield record


def _running(snapshot: Snapshot) -> Iterable[str]:
    """Uids of the ranks' pods that are in sight and have not ended."""
    ranks = {one.uid for one in snapshot.ledger.ranks}
    for pod in snapshot.pods:
        if pod.uid in ranks and not pod.gone and not pod.terminal:
            yield pod.uid


def _is_seen(snapshot: Snapshot, record: RankRecord, pod: PodView | None) -> bool:
    if pod is None:
        return False
    if pod.terminal:
        return True
    return not pod.gone and (pod.attempt, pod.rank) == (snapshot.ledger.attempt, record.rank)


def _keep(known: dict[JobKey, frozenset[str]], key: JobKey, uids: frozenset[str]) -> None:
    if uids:
        known[key] = uids
    else:
        known.pop(key, None)
