"""The scheduler: one pod to a node, where affinity and the node's health allow it."""

from typing import Any

from kit.clock import FakeClock
from kit.fakeapi import FakeApiServer
from spot_operator.control.clock import timestamp
from spot_operator.control.resource import NODES, PODS

__all__ = ["Scheduler", "fits"]

Json = dict[str, Any]

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


class Scheduler:
    """Looks twice a second. Nodes are taken by preference, then in the order of their names."""

    def __init__(self, server: FakeApiServer, clock: FakeClock) -> None:
        self._server = server
        self._clock = clock

    async def run(self) -> None:
        """Place pods for ever."""
        while True:
            for pod in self._server.objects(PODS):
                if _waits(pod):
                    self._place(pod)
            await self._clock.sleep(0.5)

    def _place(self, pod: Json) -> None:
        meta, affinity = pod["metadata"], pod["spec"].get("affinity")
        for node in sorted(self._server.objects(NODES), key=lambda one: -_liked(affinity, one)):
            if self._free(node) and (affinity is None or fits(affinity["nodeAffinity"], node)):
                self._server.bind(meta["namespace"], meta["name"], node["metadata"]["name"])
                return
        self._say_unschedulable(pod)

    def _free(self, node: Json) -> bool:
        name = node["metadata"]["name"]
        taken = any(_holds(pod, name) for pod in self._server.objects(PODS))
        return not taken and not node.get("spec", {}).get("taints")

    def _say_unschedulable(self, pod: Json) -> None:
        known = pod["status"].get("conditions") or []
        if any(one["type"] == "PodScheduled" for one in known):
            return
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0 nodes are available",
            "lastTransitionTime": timestamp(self._clock.now()),
        }
        meta = pod["metadata"]
        body = {"status": {**pod["status"], "conditions": [*known, condition]}}
        self._server.patch(
            PODS, meta["name"], body, namespace=meta["namespace"], subresource="status"
        )


def fits(affinity: Json, node: Json) -> bool:
    """Whether a node satisfies a required node affinity."""
    meta = node["metadata"]
    labels, fields = meta.get("labels") or {}, {"metadata.name": meta["name"]}
    return any(
        all(_holds_true(one, labels) for one in term.get("matchExpressions") or ())
        and all(_holds_true(one, fields) for one in term.get("matchFields") or ())
        for term in affinity[REQUIRED]["nodeSelectorTerms"]
        if term
    )


def _liked(affinity: Json | None, node: Json) -> int:
    """The sum of the weights of the preferences that the node satisfies."""
    preferred = ((affinity or {}).get("nodeAffinity") or {}).get(PREFERRED) or ()
    return sum(
        one["weight"]
        for one in preferred
        if fits({REQUIRED: {"nodeSelectorTerms": [one["preference"]]}}, node)
    )


def _holds_true(requirement: Json, values: Json) -> bool:
    value = values.get(requirement["key"])
    return (value in requirement["values"]) is (requirement["operator"] == "In")


def _waits(pod: Json) -> bool:
    ours = pod["spec"].get("schedulerName", "default-scheduler") == "default-scheduler"
    unbound = not pod["spec"].get("nodeName") and "deletionTimestamp" not in pod["metadata"]
    return ours and unbound


def _holds(pod: Json, node: str) -> bool:
    """A dead node holds its pod, as far as the scheduler knows."""
    over = pod["status"].get("phase") in {"Succeeded", "Failed"}
    return pod["spec"].get("nodeName") == node and not over
