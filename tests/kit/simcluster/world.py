"""The whole small cluster, and what a test may ask of it.

async def scenario(clock):
    world = await World.make(clock)
    world.apply(a_job_manifest())
    await world.until(lambda: world.step() >= 12, "step 12")
    world.node_of_the_job().power_cut()
    await world.until_finished()
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Literal

from kit.clock import FakeClock, FakeEntropy
from kit.fakeapi import FakeApiServer, GarbageCollector, custom
from kit.simcluster.node import LEASES_NAMESPACE, Node, Program
from kit.simcluster.purge import PurgePod, is_purge
from kit.simcluster.replicas import NAMESPACE, Replicas
from kit.simcluster.scheduler import Scheduler
from kit.simcluster.script import ScriptPod
from kit.simcluster.store import Lineage
from kit.simcluster.trainer import Orders, Plan, TrainerPod, config_of
from kit.tokens import a_token
from spot_operator.api import names
from spot_operator.control.clock import timestamp
from spot_operator.control.resource import EVENTS, NODES, PODS, SECRETS, TOKENREVIEWS
from spot_operator.reconcile.kinds import JOBS, POLICIES
from spot_operator.reports.claims import claims_of

__all__ = ["World"]

Json = dict[str, Any]

OF_POD = "token-of-"
SPOT = {"eks.amazonaws.com/capacityType": "SPOT"}


class World:
    """Made by `make`; everything in it runs until the fake loop ends."""

    def __init__(self, clock: FakeClock, seed: int, spot_nodes: int, replicas: int) -> None:
        self.clock = clock
        self.server = FakeApiServer(
            clock,
            FakeEntropy(f"server-{seed}"),
            namespaces=("default", "research", NAMESPACE, LEASES_NAMESPACE),
        )
        self.server.register(custom(JOBS))
        self.server.register(custom(POLICIES))
        self.server.virtual[TOKENREVIEWS] = self._review
        self.replicas = Replicas(self.server, clock, replicas)
        self.plan = Plan()
        self.mute = False
        """Whether reports are lost on their way to the operator."""
        self.not_kept: tuple[str, ...] = ()
        """Fields of the job's status that the installed CRD does not know, as `ranks[].trouble`."""
        self.server.admission[JOBS] = [self._drop_unknown]
        self.reviews = 0
        """How often the API server was asked about a token."""
        self.purges_fail = 0
        """Tries to delete a lineage that are yet to fail."""
        self.purges: list[tuple[str, list[Program]]] = []
        """For each try: the job's uid, and what of the job ran when it began."""
        self.lineages: dict[str, Lineage] = {}
        self.steps: list[tuple[float, int, int]] = []
        """(time, attempt, step) of every step any trainer made."""
        self.pods_seen: dict[str, set[str]] = {}
        """Uids of every pod there ever was, by name."""
        self.nodes = {
            name: self._node(name, labels)
            for name, labels in (
                *((f"spot-{letter}", SPOT) for letter in "abcdefgh"[:spot_nodes]),
                ("ondemand-z", {"eks.amazonaws.com/capacityType": "ON_DEMAND"}),
            )
        }
        self._tasks: list[asyncio.Task[Any]] = []

    @classmethod
    async def make(
        cls,
        clock: FakeClock,
        *,
        seed: int = 1,
        spot_nodes: int = 3,
        replicas: int = 1,
        policy: Json | None = None,
    ) -> "World":
        """A cluster with its nodes on, the chart installed and a default policy."""
        world = cls(clock, seed, spot_nodes, replicas)
        world._install(policy or {})
        for node in world.nodes.values():
            node.power_on()
        parts = (
            Scheduler(world.server, clock).run(),
            GarbageCollector(world.server, clock).run(),
            world._census(),
            world.replicas.run(),
        )
        loop = asyncio.get_running_loop()
        world._tasks = [loop.create_task(part) for part in parts]
        return world

    def _install(self, policy: Json) -> None:
        meta = {"name": "spot-training-reports-ca", "namespace": NAMESPACE}
        self.server.create(SECRETS, {"metadata": meta})
        spec = {"default": True, "backoff": {"jitter": "None"}, **policy}
        self.server.create(POLICIES, {"metadata": {"name": "default"}, "spec": spec})

    # --- what a user does ---

    def apply(self, manifest: Json) -> None:
        """Create a job."""
        job = self.server.create(JOBS, manifest).object
        self.lineages[job["metadata"]["uid"]] = Lineage()

    def webhook(self, change: Callable[[Json], None]) -> None:
        """Have every pod changed before it is stored, as a mutating webhook does."""

        def admit(old: Json | None, new: Json) -> tuple[str, ...]:
            if old is None:
                change(new)
            return ()

        self.server.admission.setdefault(PODS, []).append(admit)

    def edit(self, name: str = "digits", **spec: Any) -> None:
        """Change fields of a job's spec."""
        self.server.patch(JOBS, name, {"spec": spec}, namespace="research")

    def delete(
        self,
        name: str = "digits",
        *,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
    ) -> None:
        """Delete a job, its pods in the background unless said."""
        self.server.delete(JOBS, name, namespace="research", propagation=propagation)

    def exists(self, name: str = "digits") -> bool:
        """Whether the job is there, be it on its way out."""
        return any(one["metadata"]["name"] == name for one in self.server.objects(JOBS, "research"))

    # --- what the platform does ---

    def announce_end(self, node: Node, seconds: float) -> None:
        """The metadata service says that the node goes in so long; then it does."""
        now = self.clock.now()
        node.notice = {
            "kind": "Preempt",
            "deadline": timestamp(now + timedelta(seconds=seconds)),
            "source": "imds",
            "observedAt": timestamp(now),
            "raw": "terminate",
        }
        self.later(seconds, node.power_cut)

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """Have `act` called in so long."""
        asyncio.get_running_loop().call_later(seconds, act)

    def collect_pods_of_absent_nodes(self) -> None:
        """What the pod garbage collector does once a Node object is gone."""
        for pod in self.pods():
            node = pod["spec"].get("nodeName")
            if node and all(one["metadata"]["name"] != node for one in self.server.objects(NODES)):
                meta = pod["metadata"]
                self.server.delete(PODS, meta["name"], namespace=meta["namespace"], grace_seconds=0)

    # --- what can be seen ---

    def job(self, name: str = "digits") -> Json:
        """The job as stored."""
        return self.server.get(JOBS, name, "research")

    def status(self, name: str = "digits") -> Json:
        """Its status; empty before the first write."""
        status: Json = self.job(name).get("status") or {}
        return status

    def lineage(self, name: str = "digits") -> Lineage:
        """What the store has of it."""
        return self.lineages[self.job(name)["metadata"]["uid"]]

    def pods(self) -> list[Json]:
        """Every pod."""
        return self.server.objects(PODS, "research")

    def pods_named(self, name: str, phase: str = "") -> list[Json]:
        """The pod of that name, if it is there, and in that phase where one is asked for."""
        named = (pod for pod in self.pods() if pod["metadata"]["name"] == name)
        return [pod for pod in named if phase in {"", pod["status"].get("phase")}]

    def step(self) -> int:
        """The last step that any trainer made."""
        return self.steps[-1][2] if self.steps else 0

    def attempt(self) -> int:
        """The attempt that made it."""
        return self.steps[-1][1] if self.steps else 0

    def node_of(self, attempt: int) -> Node:
        """The node that the pod of that attempt is bound to."""
        pod = self.server.get(PODS, f"digits-{attempt}-0", "research")
        return self.nodes[pod["spec"]["nodeName"]]

    def condition(self, kind: str, name: str = "digits") -> Json:
        """A condition of the job; empty when it has none of that type."""
        found = [one for one in self.status(name).get("conditions", ()) if one["type"] == kind]
        return found[0] if found else {}

    def events(self) -> list[str]:
        """Reasons of the events on jobs, oldest first."""
        found = sorted(self.server.objects(EVENTS, "research"), key=lambda one: one["eventTime"])
        return [one["reason"] for one in found]

    async def until(self, what: Callable[[], bool], said: str, *, limit: float = 900.0) -> None:
        """Return when `what` holds.

        Raises:
            AssertionError: it did not within `limit` seconds.
        """
        end = self.clock.monotonic() + limit
        while not what():
            assert self.clock.monotonic() < end, f"no {said} within {limit:.0f} s\n{self.story()}"
            await self.clock.sleep(0.25)

    async def until_finished(self, name: str = "digits", *, limit: float = 1800.0) -> None:
        """Return when the job is over."""
        await self.until(
            lambda: self.status(name).get("state") == "Finished", "end of the job", limit=limit
        )

    def story(self) -> str:
        """What happened, for a test that failed."""
        job = self.server.objects(JOBS)
        status = job[0].get("status", {}) if job else {}
        lines = [f"at {self.clock.monotonic():.1f} s, last steps {self.steps[-3:]}"]
        lines += [f"state {status.get('state')} {status.get('stopping', '')}"]
        lines += [str(one) for one in status.get("attempts", ())]
        lines += [str(one) for one in status.get("conditions", ())]
        lines += [f"{p['metadata']['name']}: {p['status'].get('phase')}" for p in self.pods()]
        return "\n".join(lines)

    # --- inside ---

    def _node(self, name: str, labels: Json) -> Node:
        """A node with a clock of its own, which may be wrong."""
        clock = FakeClock()
        start = partial(self._start, clock)
        return Node(name, server=self.server, clock=clock, start=start, labels=labels)

    def _start(self, clock: FakeClock, pod: Json, orders: Orders, nonce: str) -> Program:
        uid = config_of(pod)["job"]["uid"]
        if is_purge(pod):
            return PurgePod(self.lineages[uid], clock, partial(self._purge_begins, uid))
        program = ScriptPod if config_of(pod).get("directory") else TrainerPod
        return program(
            pod=pod,
            lineage=self.lineages[uid],
            plan=self.plan,
            network=self,
            orders=orders,
            clock=clock,
            nonce=nonce,
            stepped=lambda attempt, step: self.steps.append(
                (self.clock.monotonic(), attempt, step)
            ),
        )

    def _purge_begins(self, uid: str) -> bool:
        programs = (one for node in self.nodes.values() for one in node.programs())
        training = [one for one in programs if isinstance(one, TrainerPod)]
        self.purges.append((uid, [one for one in training if one.job_uid == uid]))
        self.purges_fail -= 1
        return self.purges_fail < 0

    async def report(self, token: str, body: bytes) -> int | None:
        """What a sidecar tells the operator; `token-of-<uid>` stands for the token of that pod."""
        if self.mute:
            return None
        uid = token.removeprefix(OF_POD)
        return await self.replicas.report(self._bearer(token), body, self._trusted(uid))

    async def forge(self, token: str, body: bytes) -> int | None:
        """The same of somebody who does not care whose certificate he is shown."""
        return await self.replicas.report(self._bearer(token), body, None)

    def _bearer(self, token: str) -> str:
        uid = token.removeprefix(OF_POD)
        return self.token_of(uid) if uid != token else token

    def token_of(self, uid: str) -> str:
        """A token bound to that pod, as the kubelet asks for it."""
        found = (one["metadata"] for one in self.server.objects(PODS))
        spaces = (meta["namespace"] for meta in found if meta["uid"] == uid)
        return a_token(uid, next(spaces, "research"))

    def _trusted(self, uid: str) -> str:
        """The certificates by which that pod knows the operator, as of now."""
        pods = (
            pod["metadata"] for pod in self.server.objects(PODS) if pod["metadata"]["uid"] == uid
        )
        notes = next((meta.get("annotations") or {} for meta in pods), {})
        return str(notes.get(names.ANNOTATION_CA, ""))

    def _drop_unknown(self, _old: Json | None, new: Json) -> tuple[str, ...]:
        for path in self.not_kept:
            drop(new.get("status") or {}, path.split("."))
        return ()

    async def _census(self) -> None:
        """Note every pod there ever is."""
        feed = self.server.open_watch(PODS, resource_version=str(self.server.storage.number))
        while True:
            while feed.queue:
                meta = feed.queue.popleft()[1].object["metadata"]
                self.pods_seen.setdefault(meta["name"], set()).add(meta["uid"])
            feed.wake.clear()
            await feed.wake.wait()

    def _review(self, review: Json) -> Json:
        """The API server's answer about a token: good while its pod exists."""
        self.reviews += 1
        claims = claims_of(review["spec"]["token"])
        found = (one["metadata"] for one in self.server.objects(PODS))
        bound = claims is not None and any(
            (one["uid"], one["namespace"]) == (claims.pod_uid, claims.namespace) for one in found
        )
        if claims is None or not bound:
            return {**review, "status": {"authenticated": False}}
        user = {
            "username": f"system:serviceaccount:{claims.namespace}:default",
            "extra": {"authentication.kubernetes.io/pod-uid": [claims.pod_uid]},
        }
        audiences = [one for one in review["spec"]["audiences"] if one in claims.audiences]
        status = {"authenticated": bool(audiences), "audiences": audiences, "user": user}
        return {**review, "status": status}


def drop(value: Json, steps: list[str]) -> None:
    """Remove the field from `value`, in place, as an API server does that does not know it."""
    first, rest = steps[0], steps[1:]
    name = first.removesuffix("[]")
    if not rest:
        value.pop(name, None)
        return
    inside = value.get(name) or ()
    for each in inside if first.endswith("[]") else (inside,):
        if not each:
            continue
        drop(each, rest)
