"""A spot node: its kubelet, its lease, its power switch.

The kubelet looks once a second. A power cut ends everything on the node at once and tells nobody;
the node comes back with another boot id, and its kubelet then starts what is bound to it and not
being deleted a second time, as real ones do with pods whose runtime state is lost.

A pod has one program, that of its trainer (or purge) and sidecar. Containers with an image of
`beside/` run until their pod is deleted; one of `beside/stubborn` does not heed SIGTERM and uses
the grace up, of which its sidecar, told to end after it, has two seconds left.
"""

import asyncio
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from kit.clock import FakeClock
from kit.fakeapi import FakeApiServer
from kit.simcluster.purge import is_purge
from kit.simcluster.trainer import Exit, Orders
from spot_operator.api import names
from spot_operator.control.clock import timestamp
from spot_operator.control.errors import NotFound
from spot_operator.control.resource import LEASES, NODES, PODS
from spot_sidecar.notices.notice import read_notice

__all__ = ["LEASE_SECONDS", "Node", "Program", "Refusal"]

Json = dict[str, Any]


class Program(Protocol):
    """What runs in a pod."""

    ready: bool
    """Whether the main container may start."""

    async def run(self) -> Exit:
        """Until it ends; cancelling it is a power cut."""
        ...


Start = Callable[[Json, Orders, str], Program]

LEASE_SECONDS = 10.0
START_SECONDS = 1.0
LEAST_GRACE = 2.0
"""What the kubelet lets any container have, if the grace is used up."""
BESIDE = "beside/"
STUBBORN = "beside/stubborn"
WAITING: Json = {"waiting": {"reason": "PodInitializing"}}
LEASES_NAMESPACE = "kube-node-lease"


@dataclass(slots=True)
class _Running:
    task: "asyncio.Task[Exit]"
    orders: Orders
    program: Program
    beside: tuple[Json, ...] = ()
    """The containers that never end by themselves."""
    kill_at: float | None = None
    ended_at: float | None = None
    """When the trainer ended, and the kubelet saw it."""
    last_work: "asyncio.Task[None] | None" = None
    """What its sidecar brings in after that."""

    def cancel(self) -> None:
        """Everything of the pod stops in this instant."""
        self.task.cancel()
        if self.last_work is not None:
            self.last_work.cancel()


@dataclass(frozen=True, slots=True)
class Refusal:
    """The status of each pod that a kubelet refuses, and how many it refuses yet; None: all."""

    status: Json
    pods: int | None = None

    def after_one(self) -> "Refusal | None":
        """What is left of it once a pod was refused."""
        if self.pods is None:
            return self
        return Refusal(self.status, self.pods - 1) if self.pods > 1 else None


@dataclass(slots=True)
class Node:
    """One machine. `start` makes the program of a pod, with a nonce of its own."""

    name: str
    server: FakeApiServer
    clock: FakeClock
    start: Start
    labels: Json
    boots: int = 0
    cut_off: bool = False
    """Whether it cannot reach the API server; what runs on it goes on."""
    notice: Json | None = None
    """What the node's metadata service says."""
    pull_error: str | None = None
    """What the registry answers; None: images are there."""
    refuses: "Refusal | None" = None
    """How its kubelet refuses pods that it has not started yet; None: it takes them."""
    _tasks: "list[asyncio.Task[Any]]" = field(default_factory=list)
    _running: dict[str, _Running] = field(default_factory=dict)
    _ended: set[str] = field(default_factory=set)
    _starts: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def powered(self) -> bool:
        """Whether it runs at all."""
        return bool(self._tasks)

    def power_on(self) -> None:
        """Boot: register, renew the lease, run what is bound here."""
        assert not self.powered
        self.boots += 1
        self.notice = None
        self._ended.clear()
        self._register()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._renew()), loop.create_task(self._kubelet())]

    def programs(self) -> list[Program]:
        """What runs on it now."""
        return [one.program for one in self._running.values() if not one.task.done()]

    def faults(self) -> list[BaseException]:
        """What its kubelet died of: a mistake of the simulation."""
        over = [one for one in self._tasks if one.done() and not one.cancelled()]
        return [fault for one in over if (fault := one.exception()) is not None]

    def power_cut(self) -> None:
        """Everything on the node stops in this instant."""
        for task in self._tasks:
            task.cancel()
        for one in self._running.values():
            one.cancel()
        self._tasks.clear()
        self._running.clear()

    def end_as(self, pod: Json, status: Json) -> None:
        """The pod's program ends, and the kubelet writes this status of it."""
        meta = pod["metadata"]
        running = self._running.pop(meta["uid"], None)
        if running is not None:
            running.cancel()
        self._ended.add(meta["uid"])
        self._patch(meta, status)

    def remove(self) -> None:
        """The cloud has taken the machine, and its controller the Node object."""
        self.power_cut()
        self.server.delete(NODES, self.name)
        self.server.delete(LEASES, self.name, namespace=LEASES_NAMESPACE)

    # --- what the kubelet does ---

    def _register(self) -> None:
        status = {
            "nodeInfo": {"bootID": f"boot-{self.boots}-of-{self.name}"},
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "KubeletReady",
                    "lastTransitionTime": timestamp(self.clock.now()),
                }
            ],
        }
        try:
            self.server.get(NODES, self.name)
        except NotFound:
            self.server.create(NODES, {"metadata": {"name": self.name, "labels": self.labels}})
        self.server.patch(NODES, self.name, {"status": status}, subresource="status")

    async def _renew(self) -> None:
        while True:
            await self._reach_the_server()
            spec = {"holderIdentity": self.name, "renewTime": timestamp(self.clock.now())}
            meta = {"name": self.name, "namespace": LEASES_NAMESPACE}
            try:
                lease = self.server.get(LEASES, self.name, LEASES_NAMESPACE)
            except NotFound:
                self.server.create(LEASES, {"metadata": meta, "spec": spec})
            else:
                self.server.replace(LEASES, {**lease, "spec": spec})
            await self.clock.sleep(LEASE_SECONDS)

    async def _kubelet(self) -> None:
        while True:
            await self._reach_the_server()
            for pod in self.server.objects(PODS):
                if pod["spec"].get("nodeName") == self.name:
                    self._sync(pod)
            await self.clock.sleep(1.0)

    async def _reach_the_server(self) -> None:
        while self.cut_off:
            await self.clock.sleep(1.0)

    def _sync(self, pod: Json) -> None:
        uid, phase = pod["metadata"]["uid"], pod["status"].get("phase")
        deleting = "deletionTimestamp" in pod["metadata"]
        running = self._running.get(uid)
        if running is not None:
            self._attend(pod, running, deleting=deleting)
        elif deleting:
            self._let_go(pod)
        elif phase not in {"Succeeded", "Failed"} and uid not in self._ended:
            self._admit(pod)

    def _admit(self, pod: Json) -> None:
        if self.refuses is not None:
            self.end_as(pod, self.refuses.status)
            self.refuses = self.refuses.after_one()
        elif self.pull_error:
            self._pull(pod)
        else:
            self._run(pod)

    def _pull(self, pod: Json) -> None:
        stuck = {"waiting": {"reason": "ErrImagePull", "message": self.pull_error}}
        known = [one.get("state") for one in pod["status"].get("containerStatuses", ())]
        if known != [stuck]:
            self._write(pod, "Pending", stuck, self._running_now())

    def _run(self, pod: Json) -> None:
        orders = Orders()
        nonce = f"{self.name[-1]}{self.boots}{next(self._starts):06d}"
        program = self.start(pod, orders, nonce)
        task = asyncio.get_running_loop().create_task(self._started(pod, program))
        beside = tuple(one for one in pod["spec"]["containers"] if _is_beside(one))
        self._running[pod["metadata"]["uid"]] = _Running(task, orders, program, beside)

    async def _started(self, pod: Json, program: Program) -> Exit:
        await self.clock.sleep(START_SECONDS)
        if program.ready:
            self._write(pod, "Running", self._running_now(), self._running_now())
        else:
            self._write(pod, "Pending", WAITING, self._running_now())
        return await program.run()

    def _running_now(self) -> Json:
        return {"running": {"startedAt": timestamp(self.clock.now())}}

    def _attend(self, pod: Json, running: _Running, *, deleting: bool) -> None:
        if running.task.done():
            self._part(pod, running, running.task.result(), deleting=deleting)
            return
        if running.program.ready and pod["status"].get("phase") == "Pending":
            self._write(pod, "Running", self._running_now(), self._running_now())
        annotation = (pod["metadata"].get("annotations") or {}).get(names.ANNOTATION_NOTICE)
        heard = self.notice or _notice_in(annotation)
        running.orders.notice = running.orders.notice or heard
        if deleting:
            running.orders.deleted = True
            grace = pod["metadata"]["deletionGracePeriodSeconds"]
            running.kill_at = running.kill_at or self.clock.monotonic() + grace
        if running.kill_at is not None and self.clock.monotonic() >= running.kill_at:
            running.cancel()
            self._finish(pod, Exit(137, {}), deleting=True)

    def _part(self, pod: Json, running: _Running, ended: Exit, *, deleting: bool) -> None:
        """The trainer has ended: the pod goes when nothing else runs in it any more."""
        now = self.clock.monotonic()
        if running.ended_at is None:
            running.ended_at = now
            if running.beside or ended.last_work is not None:
                up = self._running_now()
                self._write(pod, "Running", self._trainer_ended(ended), up)
        if deleting and running.kill_at is None:
            running.kill_at = now + pod["metadata"]["deletionGracePeriodSeconds"]
        told = self._told_to_end(pod, running)
        ends = told is not None and now >= told
        hears = ends or names.ANNOTATION_ENDED in pod["metadata"].get("annotations", {})
        if ended.last_work is not None and running.last_work is None and (hears or not ended.waits):
            work = ended.last_work()
            running.last_work = asyncio.get_running_loop().create_task(work)
        if told is None or not ends:
            return
        if running.last_work is not None and not running.last_work.done():
            grace = pod["spec"]["terminationGracePeriodSeconds"]
            end = running.ended_at + grace if running.kill_at is None else running.kill_at
            if now < max(end, told + LEAST_GRACE):
                return
            running.last_work.cancel()
        self._finish(pod, ended, deleting=deleting)

    def _told_to_end(self, pod: Json, running: _Running) -> float | None:
        """When the sidecar is told to end; None: not yet, for others run in the pod."""
        if not running.beside:
            return running.ended_at
        if running.kill_at is None:
            return None
        stubborn = any(one["image"] == STUBBORN for one in running.beside)
        return running.kill_at if stubborn else self.clock.monotonic()

    def _trainer_ended(self, ended: Exit) -> Json:
        if ended.code is None:
            return WAITING
        now = timestamp(self.clock.now())
        reason = "Completed" if ended.code == 0 else "Error"
        end = {"exitCode": ended.code, "finishedAt": now, "startedAt": now, "reason": reason}
        return {"terminated": end}

    def _finish(self, pod: Json, ended: Exit, *, deleting: bool) -> None:
        uid = pod["metadata"]["uid"]
        del self._running[uid]
        self._ended.add(uid)
        now = timestamp(self.clock.now())
        trainer = self._trainer_ended(ended)
        message = json.dumps(ended.last_word) if ended.last_word else ""
        if is_purge(pod) and "terminated" in trainer:
            trainer["terminated"]["message"] = message
        sidecar = {"exitCode": 0, "reason": "Completed", "message": message, "finishedAt": now}
        phase = "Succeeded" if ended.code == 0 else "Failed"
        self._write(pod, phase, trainer, {"terminated": sidecar})
        if deleting:
            self._let_go(pod)

    def _let_go(self, pod: Json) -> None:
        meta = pod["metadata"]
        try:
            self.server.delete(
                PODS, meta["name"], namespace=meta["namespace"], uid=meta["uid"], grace_seconds=0
            )
        except NotFound:
            return

    def _write(self, pod: Json, phase: str, trainer: Json, sidecar: Json) -> None:
        meta = pod["metadata"]
        status = {
            "phase": phase,
            "containerStatuses": [
                {"name": one["name"], "state": self._state_of(one, phase, trainer)}
                for one in pod["spec"]["containers"]
            ],
            "initContainerStatuses": [{"name": names.SIDECAR_CONTAINER, "state": sidecar}],
        }
        self._patch(meta, status)

    def _patch(self, meta: Json, status: Json) -> None:
        try:
            found = self.server.get(PODS, meta["name"], meta["namespace"])
        except NotFound:
            return
        if found["metadata"]["uid"] == meta["uid"]:
            body = {"status": status}
            self.server.patch(
                PODS, meta["name"], body, namespace=meta["namespace"], subresource="status"
            )

    def _state_of(self, container: Json, phase: str, trainer: Json) -> Json:
        if not _is_beside(container):
            return trainer
        if phase in {"Succeeded", "Failed"}:
            return {"terminated": {"exitCode": 137, "reason": "Error"}}
        return self._running_now()


def _is_beside(container: Json) -> bool:
    return str(container.get("image", "")).startswith(BESIDE)


def _notice_in(annotation: str | None) -> Json | None:
    """What the sidecar hears of the annotation, which anybody may have written."""
    try:
        notice: Json = json.loads(annotation or "")
        read_notice(notice)
    except (ValueError, RecursionError):
        return None
    return notice
