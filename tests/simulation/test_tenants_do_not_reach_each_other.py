"""Who may create pods in one namespace tries to be heard as a job of another."""

import json
from typing import Any

import pytest
from kit.clock import FakeClock, in_fake_time
from kit.jobs import a_job_manifest
from kit.reports import a_notice, a_report_body
from kit.simcluster.world import World
from kit.tokens import a_token
from spot_operator.app import EVENTS_AT_ONCE, EVENTS_PER_SECOND
from spot_operator.control.resource import EVENTS, NAMESPACES, PODS
from spot_operator.reconcile.kinds import JOBS

Json = dict[str, Any]

TEXT = "delete this job, run curl evil.example"


class Attacker:
    """Has a namespace of his own, in which he may create pods and jobs, and knows every uid."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.victim = world.job()["metadata"]["uid"]
        world.server.create(NAMESPACES, {"metadata": {"name": "evil"}})

    def a_pod(
        self,
        name: str = "digits-1-0",
        job: Json | None = None,
        *,
        stays: bool = False,
        **spec: Any,
    ) -> Json:
        """A pod that looks as if it were the victim's, or that of another `job`."""
        known = self.world.job() if job is None else job
        uid, of = known["metadata"]["uid"], known["metadata"]["name"]
        reference = {
            "apiVersion": "spottraining.dev/v1alpha1",
            "kind": "SpotTrainingJob",
            "name": of,
            "uid": uid,
            "controller": True,
        }
        labels = {
            "spottraining.dev/job": of,
            "spottraining.dev/job-uid": uid,
            "spottraining.dev/attempt": "1",
            "spottraining.dev/rank": "0",
        }
        pod = {
            "metadata": {
                "name": name,
                "namespace": "evil",
                "labels": labels,
                # The operator deletes a pod that it did not make: not so fast.
                "finalizers": ["evil.example/stay"] if stays else [],
                "ownerReferences": [reference],
            },
            "spec": {"containers": [{"name": "trainer", "image": "y"}], "nodeName": "x", **spec},
        }
        return self.world.server.create(PODS, pod).object

    async def report(self, pod: Json, **fields: Any) -> int | None:
        now = "2026-01-01T00:00:00Z"
        event = {"type": "Warning", "reason": "Failed", "at": now, "message": TEXT}
        uid = pod["metadata"]["uid"]
        known = {"jobUID": self.victim, "podUID": uid, "events": [event]}
        body = a_report_body(**{**known, **fields})
        return await self.world.forge(f"token-of-{uid}", json.dumps(body).encode())

    def planted(self) -> list[tuple[str, str, str]]:
        """Namespace, reason and text of the events that tell what he wanted to say."""
        return [
            (one["metadata"]["namespace"], one["reason"], one["note"])
            for one in self.world.server.objects(EVENTS)
            if TEXT in one["note"]
        ]


async def a_world(clock: FakeClock) -> tuple[World, Attacker]:
    world = await World.make(clock)
    world.apply(a_job_manifest())
    await world.until(lambda: world.step() >= 3, "step 3")
    return world, Attacker(world)


@pytest.mark.parametrize("namespace", ["research", "evil"])
def test_a_pod_that_names_another_namespaces_job_as_its_owner_says_nothing(namespace: str) -> None:
    async def scenario(clock: FakeClock) -> None:
        _, attacker = await a_world(clock)
        pod = attacker.a_pod()
        await clock.sleep(0.3)
        status = await attacker.report(pod, namespace=namespace)
        await clock.sleep(5)
        assert status == 403
        assert attacker.planted() == []

    in_fake_time(scenario)


def test_nor_after_the_pod_was_deleted() -> None:
    """Its token is remembered for two minutes, the pod itself is not there to be compared with."""

    async def scenario(clock: FakeClock) -> None:
        world, attacker = await a_world(clock)
        pod = attacker.a_pod()
        await clock.sleep(0.3)
        await attacker.report(pod)
        meta = pod["metadata"]
        world.server.delete(PODS, meta["name"], namespace="evil", grace_seconds=0)
        await clock.sleep(1)
        for namespace in ("research", "evil"):
            assert await attacker.report(pod, namespace=namespace, attempt=7) == 503
        assert attacker.planted() == []

    in_fake_time(scenario)


def test_no_job_avoids_a_node_because_a_stranger_says_that_it_goes() -> None:
    async def scenario(clock: FakeClock) -> None:
        world, attacker = await a_world(clock)
        for node in ("spot-a", "spot-b", "spot-c"):
            pod = attacker.a_pod(name=f"on-{node}", stays=True, nodeName=node)
            await clock.sleep(0.3)
            assert await attacker.report(pod, namespace="evil", notice=a_notice()) == 403
        assert not any(operator_of(world)._observer._noticed_nodes("research").values())

    in_fake_time(scenario)


def test_what_a_tenant_says_of_a_node_keeps_no_other_tenants_job_off_it() -> None:
    """He has a job of his own, and puts pods with its labels on every node there is."""

    async def scenario(clock: FakeClock) -> None:
        world, attacker = await a_world(clock)
        world.apply(a_job_manifest("own", "evil"))
        await world.until(lambda: any(pods_of(world, "evil")), "a pod of his job")
        own = world.server.get(JOBS, "own", "evil")
        for node in world.nodes:
            pod = attacker.a_pod(name=f"on-{node}", job=own, stays=True, nodeName=node)
            leave_room(world, pod)
            await clock.sleep(0.3)
            fields = {"namespace": "evil", "job": "own", "jobUID": own["metadata"]["uid"]}
            assert await attacker.report(pod, **fields, notice=a_notice()) == 200
        world.apply(a_job_manifest("second"))
        await world.until(lambda: is_placed(world, "second-1-0"), "a node for the job", limit=120)

    in_fake_time(scenario)


NOW = "2026-01-01T00:00:00Z"
CHANGING: dict[str, list[Json]] = {
    "a problem comes and goes": [
        {"problem": {"kind": "StoreUnreachable", "message": "x", "since": NOW}},
        {},
    ],
    "its text changes": [
        {"problem": {"kind": "StoreUnreachable", "message": f"try {number}", "since": NOW}}
        for number in range(300)
    ],
    "a commit with every report": [
        {
            "commit": {
                "attempt": 1,
                "step": number,
                "id": f"id-{number}",
                "bytes": 1,
                "committedAt": NOW,
                "writeSeconds": 1.0,
            },
            "commits": number,
        }
        for number in range(300)
    ],
}


@pytest.mark.parametrize(("what", "most"), list(zip(CHANGING, (100, 60, 60), strict=True)))
def test_whatever_a_sidecar_says_its_job_is_written_now_and_then_only(what: str, most: int) -> None:
    """All jobs share the operator's way to the API server."""

    async def scenario(clock: FakeClock) -> None:
        world, attacker = await a_world(clock)
        world.plan.steps = 100_000
        world.apply(a_job_manifest("own", "evil"))
        await world.until(lambda: any(pods_of(world, "evil")), "a pod of his job")
        await clock.sleep(30)
        (pod,) = pods_of(world, "evil")
        own = pod["metadata"]["labels"]["spottraining.dev/job-uid"]
        known = {"namespace": "evil", "job": "own", "jobUID": own, "events": [], "run": "his"}
        written, said = set(), CHANGING[what]
        for number in range(240):
            fields = {**known, "sequence": number + 1, **said[number % len(said)]}
            assert await attacker.report(pod, **fields) == 200
            await clock.sleep(0.5)
            written.add(world.server.get(JOBS, "own", "evil")["metadata"]["resourceVersion"])
        assert len(written) <= most

    in_fake_time(scenario)


def leave_room(world: World, pod: Json) -> None:
    """Here a pod takes a whole node, unless it is over."""
    meta, body = pod["metadata"], {"status": {"phase": "Succeeded"}}
    world.server.patch(PODS, meta["name"], body, namespace=meta["namespace"], subresource="status")


def is_placed(world: World, name: str) -> bool:
    return any(one["spec"].get("nodeName") for one in world.pods_named(name))


async def a_job_of_his_own(world: World) -> tuple[Json, Json]:
    """The pod of a job in the attacker's namespace, and what its sidecar's reports begin with."""
    world.apply(a_job_manifest("own", "evil"))
    await world.until(lambda: any(pods_of(world, "evil")), "a pod of his job")
    (pod,) = pods_of(world, "evil")
    own = pod["metadata"]["labels"]["spottraining.dev/job-uid"]
    return pod, {"namespace": "evil", "job": "own", "jobUID": own, "sequence": 10**6}


def test_what_a_tenant_says_of_his_own_job_is_told_as_the_sidecars_word() -> None:
    async def scenario(clock: FakeClock) -> None:
        world, attacker = await a_world(clock)
        pod, fields = await a_job_of_his_own(world)
        assert await attacker.report(pod, **fields) == 200
        await clock.sleep(5)
        told = ("evil", "SidecarNote", f"the sidecar says Failed: {TEXT}")
        assert attacker.planted() == [told]

    in_fake_time(scenario)


def test_no_words_of_a_sidecar_look_like_lines_or_colours_of_others() -> None:
    """`kubectl describe` shows an Event's note in a table, a line for each."""

    async def scenario(clock: FakeClock) -> None:
        world, attacker = await a_world(clock)
        pod, fields = await a_job_of_his_own(world)
        forged = f"well\r\n  Warning  Failed  1s  operator\t{TEXT}\x1b[2K\u202e\u2028\x9b2J"
        now = "2026-01-01T00:00:00Z"
        event = {"type": "Normal", "reason": "Quarantined", "at": now, "message": forged}
        assert await attacker.report(pod, **fields, events=[event]) == 200
        await clock.sleep(5)
        ((_, _, note),) = attacker.planted()
        assert note.isprintable()
        assert note.startswith("the sidecar says Quarantined: well Warning Failed")

    in_fake_time(scenario)


def test_a_flood_of_events_of_one_job_leaves_the_others_theirs() -> None:
    """All jobs share the rate at which Events are written."""

    async def scenario(clock: FakeClock) -> None:
        world, attacker = await a_world(clock)
        world.apply(a_job_manifest("own", "evil"))
        await world.until(lambda: any(pods_of(world, "evil")), "a pod of his job")
        (pod,) = pods_of(world, "evil")
        own = pod["metadata"]["labels"]["spottraining.dev/job-uid"]
        fields = {"namespace": "evil", "job": "own", "jobUID": own}
        now = "2026-01-01T00:00:00Z"
        for number in range(600):
            events = [
                {
                    "type": "Normal",
                    "reason": "SnapshotLost",
                    "at": now,
                    "message": f"{number} {one}",
                }
                for one in range(32)
            ]
            sequence = 10**6 + number
            answer = await attacker.report(pod, **fields, sequence=sequence, events=events)
            assert answer in {200, 429}
            await clock.sleep(0.1)
        written = [one for one in world.server.objects(EVENTS, "evil") if "Lost" in one["reason"]]
        assert len(written) <= EVENTS_AT_ONCE + 60 * EVENTS_PER_SECOND + 1
        assert operator_of(world)._recorder.dropped == 0

    in_fake_time(scenario)


def test_a_flood_of_tokens_costs_the_api_server_nothing_and_silences_nobody() -> None:
    async def scenario(clock: FakeClock) -> None:
        world, _ = await a_world(clock)
        before = world.reviews
        for number in range(5_000):
            token = a_token(f"no-pod-{number}", signature=f"forged-{number}")
            assert await world.forge(token, b"{}") == 503
        for number in range(5_000):
            assert await world.forge(f"random-{number}", b"{}") == 401
        assert world.reviews == before
        step = world.step()
        await world.until(lambda: world.step() >= step + 20, "20 more steps")
        assert world.condition("Running")["status"] == "True"

    in_fake_time(scenario)


def operator_of(world: World) -> Any:
    (leader,) = (one.operator for one in world.replicas.all if one.leads())
    return leader


def pods_of(world: World, namespace: str) -> list[Json]:
    return world.server.objects(PODS, namespace)
