"""What may go wrong while a job trains: a table from which a seed draws.

Each mishap begins at once, ends by itself within `LONGEST` seconds and returns what it did, for the
story of a seed that failed; None: there was nothing to do it to. None of them is the trainer's
fault, so that no failure may be charged for any of them once the job's trainer has run.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final

from kit.fakeapi import Call, fail
from kit.simcluster.node import Node
from kit.simcluster.replicas import NAMESPACE, Replica
from kit.simcluster.world import World
from spot_operator.api import names
from spot_operator.control.clock import timestamp
from spot_operator.control.errors import ApiError, NotFound, from_status
from spot_operator.control.resource import (
    ENDPOINTSLICES,
    EVENTS,
    LEASES,
    NODES,
    PODS,
    SECRETS,
    TOKENREVIEWS,
)
from spot_operator.reconcile.kinds import JOBS, POLICIES

__all__ = ["LONGEST", "MISHAPS", "Mishap", "put_right"]

Json = dict[str, Any]
Mishap = Callable[[World, Random], str | None]

LONGEST: Final = 400.0
"""Seconds."""
SKEWS: Final = (-86_400.0, -3_600.0, -200.0, -30.0, 30.0, 200.0, 3_600.0, 86_400.0)
"""By how many seconds a clock may be wrong."""
REFUSALS: Final = (403, 404, 408, 409, 413, 422, 429, 400, 500, 502, 503, 504)
"""What a webhook, or a server in trouble, may answer to a write."""
DISRUPTIONS: Final = (
    "DeletionByDeviceTaintManager",
    "DeletionByPodGC",
    "DeletionByTaintManager",
    "EvictionByEvictionAPI",
    "PreemptionByScheduler",
    "SomethingThatNobodyKnowsYet",
)
"""Reasons of DisruptionTarget, and one that no version of Kubernetes has."""
ADMISSIONS: Final = ("OutOfcpu", "NodeAffinity", "UnexpectedAdmissionError", "AReasonOfTomorrow")
"""Reasons with which a kubelet refuses a pod, and one that no version of Kubernetes has."""


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
NOT_KEPT: Final = (
    "ranks[].trainerEnd",
    "ranks[].trouble",
    "ranks[].memory",
    "ranks[].silentSince",
    "excluded",
    "purge",
    "suspects",
    "firstStarted",
    "totals",
    "checkpoint.interval",
)
"""Fields of the status that an older CRD may not know."""


@dataclass(frozen=True, slots=True)
class Lost:
    """How a kubelet reports a pod whose containers it lost."""

    exit_code: int
    reason: str
    pod_reason: str = ""


LOSSES: Final = (
    Lost(137, "ContainerStatusUnknown"),
    Lost(255, "Unknown"),
    Lost(255, "Unknown", "UnexpectedAdmissionError"),
    Lost(137, "ContainerStatusUnknown", "NodeAffinity"),
)


# --- nodes ---


def power_cut(world: World, chance: Random) -> str | None:
    node = _one(chance, _powered(world))
    if node is None:
        return None
    node.power_cut()
    _later(world, chance, lambda: _power_on(node))
    return f"power cut of {node.name}"


def frozen(world: World, chance: Random) -> str | None:
    """The node reaches the API server no more, and comes back as it was."""
    node = _one(chance, _powered(world))
    if node is None:
        return None
    node.cut_off = True
    _later(world, chance, lambda: setattr(node, "cut_off", False))
    return f"{node.name} is cut off"


def removed(world: World, chance: Random) -> str | None:
    node = _one(chance, _powered(world))
    if node is None or node.cut_off:
        return None
    node.remove()
    world.later(chance.uniform(20, 60), world.collect_pods_of_absent_nodes)
    _later(world, chance, lambda: _power_on(node))
    return f"{node.name} is removed"


def announced(world: World, chance: Random) -> str | None:
    node = _one(chance, _powered(world))
    if node is None or node.notice is not None:
        return None
    seconds = chance.uniform(3, 120)
    world.announce_end(node, seconds)
    _later(world, chance, lambda: _power_on(node), least=seconds + 1)
    return f"{node.name} goes in {seconds:.0f} s, and says so"


def false_alarm(world: World, chance: Random) -> str | None:
    node = _one(chance, _powered(world))
    if node is None or node.notice is not None:
        return None
    node.notice = {
        "kind": chance.choice(("Preempt", "Rebalance", "Maintenance")),
        "deadline": timestamp(world.clock.now()),
        "source": "imds",
        "observedAt": timestamp(node.clock.now()),
        "raw": "a false alarm",
    }
    _later(world, chance, lambda: setattr(node, "notice", None))
    return f"{node.name} says wrongly that it goes"


def wrong_node_clock(world: World, chance: Random) -> str | None:
    node = _one(chance, list(world.nodes.values()))
    if node is None:
        return None
    node.clock.skew = chance.choice(SKEWS)
    return f"the clock of {node.name} is set to {node.clock.skew:+.0f} s"


def two_at_once(world: World, chance: Random) -> str | None:
    nodes = _powered(world)
    if len(nodes) < 2:
        return None
    gone = chance.sample(nodes, 2)
    for node in gone:
        node.power_cut()
        _later(world, chance, partial(_power_on, node))
    return f"power cuts of {' and '.join(one.name for one in gone)}"


def kept_off(world: World, chance: Random) -> str | None:
    """A taint that no pod of ours tolerates."""
    node = _one(chance, _powered(world))
    if node is None:
        return None
    taint = {"key": "example.com/kept", "effect": "NoSchedule"}
    _taint(world, node, [taint])
    _later(world, chance, lambda: _taint(world, node, []))
    return f"{node.name} is tainted"


def rejecting(world: World, chance: Random) -> str | None:
    node = _one(chance, _powered(world))
    if node is None:
        return None
    node.refuses = chance.choice(ADMISSIONS)
    _later(world, chance, lambda: setattr(node, "refuses", ""))
    return f"{node.name} refuses pods: {node.refuses}"


# --- pods ---


def lost_state(world: World, chance: Random) -> str | None:
    """A reboot of the node or of its container runtime, as the kubelet tells of it afterwards."""
    pod, node = _running(world, chance)
    if pod is None or node is None or node.cut_off:
        return None
    lost = chance.choice(LOSSES)
    gone = {"terminated": {"exitCode": lost.exit_code, "reason": lost.reason}}
    status = {
        "phase": "Failed",
        "containerStatuses": [{"name": pod["spec"]["containers"][0]["name"], "state": gone}],
        "initContainerStatuses": [{"name": "spot-sidecar", "state": gone}],
    }
    if lost.pod_reason:
        status["reason"] = lost.pod_reason
    node.end_as(pod, status)
    return f"the state of {pod['metadata']['name']} is lost: {lost}"


def node_without_memory(world: World, chance: Random) -> str | None:
    """The kernel of the node kills the trainer, whose own container is within its limit."""
    pod, node = _running(world, chance)
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
    pod, _ = _running(world, chance)
    if pod is None:
        return None
    meta, reason = pod["metadata"], chance.choice(DISRUPTIONS)
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
    pod, _ = _running(world, chance)
    if pod is None:
        return None
    meta = pod["metadata"]
    world.server.delete(PODS, meta["name"], namespace=meta["namespace"])
    return f"somebody deletes {meta['name']}"


def annotated(world: World, chance: Random) -> str | None:
    """Somebody writes what no operator would into an annotation of ours."""
    pod, _ = _running(world, chance)
    if pod is None:
        return None
    meta, name = pod["metadata"], chance.choice(ANNOTATIONS)
    value = chance.choice(GARBAGE)
    body = {"metadata": {"annotations": {name: value}}}
    world.server.patch(PODS, meta["name"], body, namespace=meta["namespace"])
    return f"{meta['name']} is annotated: {name}={value[:40]}"


def injected(world: World, chance: Random) -> str | None:
    """A webhook adds a container that never ends to every pod of the next minutes."""
    until = world.clock.monotonic() + _while(chance)
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
    _later(world, chance, lambda: _delete_foreign(world, name))
    return f"somebody takes the name {name}"


# --- the operator ---


def crash(world: World, chance: Random) -> str | None:
    replica = _replica(world, chance)
    replica.process.die()
    return f"{replica.address} is killed"


def restart(world: World, chance: Random) -> str | None:
    replica = _replica(world, chance)
    if replica.life is None or replica.process.paused:
        return None
    replica.end_gracefully()
    return f"{replica.address} is restarted"


def stand_still(world: World, chance: Random) -> str | None:
    process = _replica(world, chance).process
    process.pause()
    world.later(chance.uniform(1, 60), process.resume)
    return f"{process.name} stands still"


def wrong_leader_clock(world: World, chance: Random) -> str | None:
    """From now on, in this life and in those that follow."""
    replica = _replica(world, chance)
    replica.skew = chance.choice(SKEWS)
    replica.process.clock.skew = replica.skew
    return f"the clock of {replica.address} is set to {replica.skew:+.0f} s"


def bad_network(world: World, chance: Random) -> str | None:
    replica = _replica(world, chance)
    faults = replica.process.client.faults
    kind = chance.choice(("lag", "blind", "cut"))
    setattr(faults, kind, 12.0 if kind == "lag" else True)
    _later(world, chance, lambda: setattr(faults, kind, 0.0 if kind == "lag" else False))
    return f"{replica.address}: {kind}"


def server_restarts(world: World, chance: Random) -> str | None:
    """Nobody of the operator reaches the API server for a short while; watches are cut."""
    for replica in world.replicas.all:
        faults = replica.process.client.faults
        faults.cut = True
        world.later(chance.uniform(1, 8), partial(setattr, faults, "cut", False))
    return "the API server restarts"


def news_lost(world: World, chance: Random) -> str | None:
    """Some watch events never arrive."""
    until, odds = world.clock.monotonic() + _while(chance), Random(chance.random())

    def lost(_resource: object, _event: object) -> bool:
        return world.clock.monotonic() < until and odds.random() < 0.3

    for replica in world.replicas.all:
        replica.process.client.faults.lose(lost)
    return "watch events are lost"


def muted(world: World, chance: Random) -> str | None:
    world.mute = True
    _later(world, chance, lambda: setattr(world, "mute", False))
    return "reports are lost"


# --- what the API server answers ---


def refused(world: World, chance: Random) -> str | None:
    """A webhook, a role or the server itself refuses one kind of write, of every replica."""
    verb, resource = chance.choice(
        [
            ("create", PODS),
            ("patch", PODS),
            ("delete", PODS),
            ("replace", JOBS),
            ("patch", JOBS),
            ("replace", ENDPOINTSLICES),
            ("create", ENDPOINTSLICES),
            ("replace", SECRETS),
            ("create", TOKENREVIEWS),
            ("create", EVENTS),
            ("replace", LEASES),
        ]
    )
    code = chance.choice(REFUSALS)
    if verb == "create" and code in {400, 422} and not world.steps:
        # Of the first pod this is the template's fault, as far as anybody can tell.
        return None
    error = from_status(code, {"message": "admission webhook says no"})
    until = world.clock.monotonic() + _while(chance)

    def strikes(call: Call) -> bool:
        asked = call.is_write and (call.verb, call.resource) == (verb, resource)
        return asked and world.clock.monotonic() < until

    for replica in world.replicas.all:
        replica.meet(strikes, fail(error))
    return f"every {verb} of {resource.plural} is answered {code}"


def unheard(world: World, chance: Random) -> str | None:
    """Writes are done, and their answers lost."""
    until = world.clock.monotonic() + chance.uniform(5, 60)
    error = from_status(0, {"message": "connection reset"})

    def strikes(call: Call) -> bool:
        asked = call.is_write and call.resource != LEASES
        return asked and world.clock.monotonic() < until

    for replica in world.replicas.all:
        replica.meet(strikes, None, fail(error))
    return "answers to writes are lost"


# --- what people do ---


def policy_away(world: World, chance: Random) -> str | None:
    try:
        policy = world.server.get(POLICIES, "default")
    except NotFound:
        return None
    world.server.delete(POLICIES, "default")
    body = {"metadata": {"name": "default"}, "spec": policy["spec"]}
    _later(world, chance, lambda: _create(world, POLICIES, body))
    return "the policy is away"


def policy_unreadable(world: World, chance: Random) -> str | None:
    """Stored under the rules of another version."""
    try:
        spec = world.server.get(POLICIES, "default")["spec"]
    except NotFound:
        return None
    if spec["backoff"] == "by tomorrow's rules":
        return None
    _patch_policy(world, {"backoff": "by tomorrow's rules"})
    _later(world, chance, lambda: _patch_policy(world, {"backoff": spec["backoff"]}))
    return "the policy cannot be read"


def policy_edited(world: World, chance: Random) -> str | None:
    """Bounds move while attempts run; none of them can end this job."""
    spec: Json = chance.choice(
        (
            {"unreachable": {"after": chance.choice(("15s", "40s", "5m"))}},
            {"backoff": {"jitter": "Full", "max": "60s"}},
            {"maxAttemptsWithoutProgress": chance.choice((60, 100))},
            {"interruptions": {"max": chance.choice((300, 400))}},
        )
    )
    _patch_policy(world, spec)
    return f"the policy is edited: {spec}"


def second_default(world: World, chance: Random) -> str | None:
    body = {"metadata": {"name": "other"}, "spec": {"default": True, "interruptions": {"max": 0}}}
    try:
        world.server.create(POLICIES, body)
    except ApiError:
        return None
    _later(world, chance, lambda: _delete_policy(world, "other"))
    return "two policies are the default"


def spec_unreadable(world: World, chance: Random) -> str | None:
    """Stored by another version, and put right again."""
    field, value = chance.choice(
        (("podCleanup", "ByTomorrow"), ("completion", "ByVote"), ("stallTimeout", {"of": "all"}))
    )
    before = world.job()["spec"].get(field)
    if before == value:
        return None
    world.edit("digits", **{field: value})
    _later(world, chance, lambda: world.edit("digits", **{field: before}))
    return f"spec.{field} cannot be read"


def held(world: World, chance: Random) -> str | None:
    """The user has the checkpoints deleted with the job, and changes his mind."""
    world.edit(checkpoint={"deletionPolicy": "Delete"})
    _later(world, chance, lambda: world.edit(checkpoint={"deletionPolicy": "Retain"}))
    return "the deletion policy changes"


def crds_outdated(world: World, chance: Random) -> str | None:
    if world.not_kept:
        return None
    world.not_kept = tuple(chance.sample(NOT_KEPT, chance.randint(1, 3)))
    lost = ", ".join(world.not_kept)
    _later(world, chance, lambda: setattr(world, "not_kept", ()))
    return f"the CRDs are replaced by older ones, without {lost}"


def suspended(world: World, chance: Random) -> str | None:
    world.edit(suspend=True)
    _later(world, chance, lambda: world.edit(suspend=False))
    return "the user suspends the job"


def endpoint_removed(world: World, chance: Random) -> str | None:
    for piece in world.server.objects(ENDPOINTSLICES, NAMESPACE):
        world.server.delete(ENDPOINTSLICES, piece["metadata"]["name"], namespace=NAMESPACE)
    return "the reports EndpointSlice is removed"


def secret_broken(world: World, chance: Random) -> str | None:
    name = "spot-training-reports-ca"
    secret = world.server.get(SECRETS, name, NAMESPACE)
    if "broken" in (secret.get("data") or {}):
        return None
    data = {"tls.crt": "bm90IGEgY2VydGlmaWNhdGU=", "broken": "eWVz"}
    world.server.replace(SECRETS, {**secret, "data": data})

    def mend() -> None:
        found = world.server.get(SECRETS, name, NAMESPACE)
        world.server.replace(SECRETS, {**found, "data": secret.get("data") or {}})

    _later(world, chance, mend)
    return "the reports server's Secret is broken"


def authority_anew(world: World, chance: Random) -> str | None:
    """Somebody empties the Secret, so that a new authority is made."""
    secret = world.server.get(SECRETS, "spot-training-reports-ca", NAMESPACE)
    if "broken" in (secret.get("data") or {}):
        return None
    world.server.replace(SECRETS, {**secret, "data": {}})
    return "the reports server's Secret is emptied"


MISHAPS: Final[tuple[Mishap, ...]] = (
    power_cut,
    frozen,
    removed,
    announced,
    false_alarm,
    wrong_node_clock,
    rejecting,
    lost_state,
    node_without_memory,
    disrupted,
    deleted,
    name_taken,
    crash,
    restart,
    stand_still,
    wrong_leader_clock,
    bad_network,
    muted,
    refused,
    unheard,
    policy_away,
    policy_unreadable,
    suspended,
    endpoint_removed,
    secret_broken,
    two_at_once,
    kept_off,
    annotated,
    injected,
    server_restarts,
    news_lost,
    policy_edited,
    second_default,
    spec_unreadable,
    held,
    crds_outdated,
    authority_anew,
)


def put_right(world: World) -> None:
    """Every node on and true to the world, every replica well: what is left must finish."""
    for node in world.nodes.values():
        node.cut_off, node.refuses = False, ""
        _power_on(node)
    for replica in world.replicas.all:
        faults = replica.process.client.faults
        faults.lag, faults.blind, faults.cut = 0.0, False, False
        replica.process.resume()


def _one(chance: Random, choices: list[Node]) -> Node | None:
    return chance.choice(choices) if choices else None


def _powered(world: World) -> list[Node]:
    return [node for node in world.nodes.values() if node.powered]


def _replica(world: World, chance: Random) -> Replica:
    return chance.choice(world.replicas.all)


def _running(world: World, chance: Random) -> tuple[Json | None, Node | None]:
    """A pod that runs on a node that is on, and that node."""
    found = list(_pods_on_nodes(world))
    return chance.choice(found) if found else (None, None)


def _pods_on_nodes(world: World) -> Iterator[tuple[Json, Node]]:
    for pod in world.pods():
        node = world.nodes.get(pod["spec"].get("nodeName") or "")
        runs = pod["status"].get("phase") == "Running"
        if node is not None and node.powered and runs:
            yield pod, node


def _while(chance: Random) -> float:
    return min(LONGEST, chance.choice((2.0, 20.0, 120.0, LONGEST)) * chance.uniform(0.5, 1.0))


def _later(world: World, chance: Random, undo: Callable[[], object], *, least: float = 0.0) -> None:
    world.later(max(least, _while(chance)), undo)


def _power_on(node: Node) -> None:
    if not node.powered:
        node.power_on()


def _create(world: World, resource: Any, body: Json) -> None:
    try:
        world.server.create(resource, body)
    except ApiError:
        return


def _delete_foreign(world: World, name: str) -> None:
    try:
        world.server.delete(PODS, name, namespace="research", grace_seconds=0)
    except NotFound:
        return


def _delete_policy(world: World, name: str) -> None:
    try:
        world.server.delete(POLICIES, name)
    except NotFound:
        return


def _taint(world: World, node: Node, taints: list[Json]) -> None:
    try:
        world.server.patch(NODES, node.name, {"spec": {"taints": taints}})
    except NotFound:
        return


def _patch_policy(world: World, spec: Json) -> None:
    try:
        world.server.patch(POLICIES, "default", {"spec": spec})
    except NotFound:
        return
