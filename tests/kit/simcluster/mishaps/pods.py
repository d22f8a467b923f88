"""What may befall a pod."""

import json
from random import Random
from typing import Any, Final

from endings.admission import ADMITTED
from endings.by_kubelet import ENDED_BY_KUBELET
from endings.disruptions import DISRUPTIONS
from endings.lost import LOST
from endings.row import TRAINER
from kit.simcluster.mishaps.chance import a_running_pod, a_while, end_later
from kit.simcluster.world import World
from spot_operator.api import names
from spot_operator.control.clock import timestamp
from spot_operator.control.errors import ApiError, NotFound
from spot_operator.control.resource import PODS

Json = dict[str, Any]

ENDS: Final = tuple(
    row
    for chapter in (LOST, ENDED_BY_KUBELET, ADMITTED, DISRUPTIONS)
    for row in chapter.rows
    if row.begun
    and row.status["phase"] == "Failed"
    and (row.end is not None and row.end.charge != "failure")
    and (row.world, row.deleted) == ("as usual", False)
)
"""What is written of a running pod that ends by no doing of its trainer."""
REASONS: Final = tuple(
    sorted(
        {
            condition["reason"]
            for row in DISRUPTIONS.rows
            for condition in row.status.get("conditions", ())
            if condition["type"] == "DisruptionTarget" and condition["status"] == "True"
        }
    )
)
"""Of DisruptionTarget, as controllers write it before they delete a pod."""
LABELS: Final = (names.LABEL_JOB, names.LABEL_JOB_UID, names.LABEL_ATTEMPT, names.LABEL_RANK)

ANNOTATIONS: Final = (
    names.ANNOTATION_NOTICE,
    names.ANNOTATION_NODE,
    names.ANNOTATION_AVOIDS,
    names.ANNOTATION_CA,
)
"""Of ours, on pods: whoever may write pods may write them."""
GARBAGE: Final = (
    "",
    "?",
    "[" * 5_000,
    '{"kind": ["Preempt"], "observedAt": "2026-03-01T12:00:00Z"}',
    '{"kind": "Preempt", "observedAt": 1e999}',
    '{"name": ["node"], "uid": {}, "bootID": 1}',
    '{"kind": "Rebalance", "observedAt": "2026-03-01T12:00:00Z", "raw": "\\ud800"}',
)


def ended_from_outside(world: World, chance: Random) -> str | None:
    """A kubelet, its runtime or the node ends a pod, and the kubelet writes that it is over."""
    pod, node = a_running_pod(world, chance)
    if pod is None or node is None or node.cut_off:
        return None
    row = chance.choice(ENDS)
    node.end_as(pod, {**row.status, **_named(row.status, pod)})
    return f"{pod['metadata']['name']} is over: {row.written}"


def _named(status: Json, pod: Json) -> Json:
    """The containers' statuses under the names that the pod's containers have."""
    trainer = pod["spec"]["containers"][0]["name"]
    named = [
        {**one, "name": trainer if one["name"] == TRAINER else one["name"]}
        for one in status.get("containerStatuses", ())
    ]
    return {"containerStatuses": named, "initContainerStatuses": []}


def node_without_memory(world: World, chance: Random) -> str | None:
    """The kernel of the node kills the trainer, whose own container is within its limit."""
    pod, node = a_running_pod(world, chance)
    if pod is None or node is None or node.cut_off:
        return None
    killed = {"terminated": {"exitCode": 137, "reason": "Error"}}
    counted = {
        "oom": 0,
        "oomKill": chance.choice((1, 7)),
        "limitBytes": chance.choice((None, 2**30)),
        "secondsBeforeEnd": chance.uniform(0, 10),
    }
    said = json.dumps({"version": 1, "word": None, "memory": counted})
    over = {"terminated": {"exitCode": 0, "reason": "Completed", "message": said}}
    status = {
        "phase": "Failed",
        "containerStatuses": [{"name": pod["spec"]["containers"][0]["name"], "state": killed}],
        "initContainerStatuses": [{"name": names.SIDECAR_CONTAINER, "state": over}],
    }
    node.end_as(pod, status)
    return f"{node.name} is out of memory and kills the trainer of {pod['metadata']['name']}"


def disrupted(world: World, chance: Random) -> str | None:
    pod, _ = a_running_pod(world, chance)
    if pod is None:
        return None
    meta, reason = pod["metadata"], chance.choice(REASONS)
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": reason,
        "lastTransitionTime": timestamp(world.clock.now()),
    }
    conditions = [*(pod["status"].get("conditions") or ()), condition]
    body = {"status": {"conditions": conditions}}
    world.server.patch(PODS, meta["name"], body, namespace=meta["namespace"], subresource="status")
    world.server.delete(PODS, meta["name"], namespace=meta["namespace"])
    return f"{meta['name']} is disrupted: {reason}"


def deleted(world: World, chance: Random) -> str | None:
    pod, _ = a_running_pod(world, chance)
    if pod is None:
        return None
    meta = pod["metadata"]
    world.server.delete(PODS, meta["name"], namespace=meta["namespace"])
    return f"somebody deletes {meta['name']}"


def annotated(world: World, chance: Random) -> str | None:
    """Somebody writes what no operator would into an annotation of ours."""
    pod, _ = a_running_pod(world, chance)
    if pod is None:
        return None
    meta, name = pod["metadata"], chance.choice(ANNOTATIONS)
    value = chance.choice(GARBAGE)
    body = {"metadata": {"annotations": {name: value}}}
    world.server.patch(PODS, meta["name"], body, namespace=meta["namespace"])
    return f"{meta['name']} is annotated: {name}={value[:40]}"


def unlabelled(world: World, chance: Random) -> str | None:
    """Somebody takes labels of ours off, or writes others there."""
    pod, _ = a_running_pod(world, chance)
    if pod is None:
        return None
    meta, value = pod["metadata"], chance.choice((None, "99", "other"))
    labels = dict.fromkeys(chance.sample(LABELS, chance.randint(1, len(LABELS))), value)
    body = {"metadata": {"labels": labels}}
    world.server.patch(PODS, meta["name"], body, namespace=meta["namespace"])
    return f"{meta['name']} is labelled: {labels}"


def injected(world: World, chance: Random) -> str | None:
    """A webhook adds a container that never ends to every pod of the next minutes."""
    until = world.clock.monotonic() + a_while(chance)
    container = {"name": "proxy", "image": chance.choice(("beside/proxy", "beside/stubborn"))}

    def change(pod: Json) -> None:
        there = {one["name"] for one in pod["spec"]["containers"]}
        if world.clock.monotonic() < until and "proxy" not in there:
            pod["spec"]["containers"].append(dict(container))

    world.webhook(change)
    return f"a webhook adds {container['image']}"


def name_taken(world: World, chance: Random) -> str | None:
    name = f"digits-{world.status().get('attempt', 0) + 1}-0"
    containers = [{"name": "other", "image": "other:1"}]
    spec = {"schedulerName": "another", "containers": containers}
    body = {"metadata": {"name": name, "namespace": "research"}, "spec": spec}
    try:
        world.server.create(PODS, body)
    except ApiError:
        return None
    end_later(world, chance, lambda: _delete_foreign(world, name))
    return f"somebody takes the name {name}"


def _delete_foreign(world: World, name: str) -> None:
    try:
        world.server.delete(PODS, name, namespace="research", grace_seconds=0)
    except NotFound:
        return
