"""What the chart grants is what the operator calls: each call has a rule, and each rule a call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from integration.chart.helm import rendered
from kit.clock import FakeClock, in_fake_time
from kit.fakeapi.faults import Call
from kit.jobs import a_job_manifest
from kit.simcluster.replicas import NAMESPACE
from kit.simcluster.world import World
from spot_operator.control.resource import CLUSTERROLES

pytestmark = pytest.mark.apiserver

Object = dict[str, Any]
STORE = {"s3": {"bucket": "checkpoints"}}
VERBS = {"replace": "update", "dry-run": "update"}
NOT_PLAYED = {
    # Where owner references are guarded, only who may delete an object may give it an owner.
    ("leases", "delete"),
    ("endpointslices", "delete"),
    ("spottrainingjobs/finalizers", "update"),
    # The hook of `helm uninstall`.
    ("deployments/scale", "patch"),
    # After an answer that may not be the store's.
    ("spottrainingjobs", "get"),
    ("pods", "get"),
    # An Event that is told again.
    ("events", "patch"),
    # Read by an informer, one by one by nobody.
    ("spotpolicies", "get"),
    ("nodes", "get"),
}
"""Granted, and not needed in the life that is played here."""


class Right(NamedTuple):
    """One verb on one resource. `namespace` empty: everywhere; `name` empty: any."""

    group: str
    resource: str
    verb: str
    namespace: str
    name: str

    def allows(self, call: Call) -> bool:
        sub = f"/{call.subresource}" if call.subresource else ""
        return (
            self.group == call.resource.group
            and self.resource == f"{call.resource.plural}{sub}"
            and self.verb == VERBS.get(call.verb, call.verb)
            and self.namespace in {"", call.namespace}
            and self.name in {"", call.name}
        )


def rights(objects: list[Object]) -> Iterator[Right]:
    """Of the operator's account, by its bindings."""
    roles = {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one["rules"]
        for one in objects
        if one["kind"] in {"Role", "ClusterRole"}
    }
    for binding in objects:
        if binding["kind"] not in {"RoleBinding", "ClusterRoleBinding"}:
            continue
        space, reference = binding["metadata"].get("namespace", ""), binding["roleRef"]
        for rule in roles[reference["kind"], space, reference["name"]]:
            yield from of_rule(rule, space)


def of_rule(rule: Object, namespace: str) -> Iterator[Right]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                for name in rule.get("resourceNames", [""]):
                    yield Right(group, resource, verb, namespace, name)


def calls_of_an_operator(watched: list[str]) -> list[Call]:
    """Everything that a leader asks for in a life with an interruption, a purge and an end."""
    asked: list[Call] = []

    async def note(call: Call) -> None:
        asked.append(call)

    async def scenario(clock: FakeClock) -> None:
        world = await World.make(clock, replicas=2)
        world.server.create(CLUSTERROLES, {"metadata": {"name": f"spot.{NAMESPACE}"}})
        for replica in world.replicas.all:
            replica._chosen |= {
                "lease_name": "spot",
                "owner_cluster_role": f"spot.{NAMESPACE}",
                "watch_namespaces": ",".join(watched),
            }
            replica.meet(lambda _: True, note)
            # Its first process has other settings.
            await replica.process.kill()
        await play(world)

    in_fake_time(scenario)
    return asked


async def play(world: World) -> None:
    checkpoint = {"store": STORE, "deletionPolicy": "Delete"}
    world.apply(a_job_manifest(checkpoint=checkpoint, ttlSecondsAfterFinished=60))
    await world.until(lambda: world.step() >= 12, "step 12")
    world.announce_end(world.node_of(1), 20.0)
    await world.until(lambda: world.attempt() == 2 and world.step() >= 25, "attempt 2")
    world.node_of(2).power_cut()
    await world.until_finished()
    await world.until(lambda: not world.exists(), "end of the finished job")
    leader = world.replicas.leader()
    assert leader is not None
    leader.end_gracefully()
    await world.clock.sleep(30)


@pytest.mark.parametrize("watched", [[], ["research", "default"]])
def test_every_call_has_a_rule_and_every_rule_a_call(watched: list[str]) -> None:
    objects = rendered({"watchNamespaces": watched}, release="spot", namespace=NAMESPACE)
    granted, asked = list(rights(objects)), calls_of_an_operator(watched)
    refused = {str(one) for one in asked if not any(right.allows(one) for right in granted)}
    assert refused == set()
    idle = {
        (right.resource, right.verb)
        for right in granted
        if not any(right.allows(one) for one in asked)
    }
    played = {
        (right.resource, right.verb) for right in granted if any(right.allows(one) for one in asked)
    }
    assert idle - played <= NOT_PLAYED
