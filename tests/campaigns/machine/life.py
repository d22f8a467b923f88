"""One job on a machine of its own, one thing that happens to it, and what must hold in the end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from campaigns.machine import script
from campaigns.machine.scenes import SCENES, Scene
from cluster import UmlNode
from demo.proof import same_bits
from kit.clustertrainers import policy
from spot_training.checkpoint.layout import STATE
from stage.install import Stage, stage
from stage.job import WatchedJob
from stage.kube import KubectlError
from stage.steplog import StepLog
from stage.waiting import until
from toolchain.layout import Cache

Object = dict[str, Any]

NODES = "uml=1,on-demand=1"
NODE = "uml-a"
POLICY = policy(
    "machine",
    backoff={"initial": "2s", "factor": 2, "max": "30s", "jitter": "None"},
    failures={"max": 2, "refundAfterProgress": True},
    unreachable={"after": "2m"},
)
_TOLERANCE = timedelta(seconds=5)
_EXTRA = 16 * 2**20
"""What the shared volume may hold beside the staging size."""


@dataclass(slots=True)
class Account:
    """What was seen of one scene."""

    scene: str
    seconds: float = 0.0
    endings: list[str] = field(default_factory=list)
    charged: list[str | None] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    """What the status said of the trainer's end, of each struck attempt whose end was seen."""
    replayed: int = 0
    exact: bool = False
    ledger_gap: float = -1.0
    """Seconds by which the time ledger misses the job's age; -1: not known."""
    sidecar_restarts: int = 0
    shared_bytes: int = 0
    """The most that the pod had of shared memory, where it was looked at."""
    wrong: list[str] = field(default_factory=list)

    def to_json(self) -> Object:
        return asdict(self)


@contextlib.contextmanager
def a_world(cache: Cache, cluster_id: str = "machine") -> Iterator[Stage]:
    """A cluster with a node of its own kernel, and the operator beside it."""
    with stage(cache, cluster_id=cluster_id, nodes=NODES, grace_seconds=20) as world:
        world.kube.apply(POLICY)
        yield world


def live(
    world: Stage, name: str, expected: Object, *, within: float = 600, times: int | None = None
) -> Account:
    """Play one scene, with so many attempts struck; what breaks a promise is in `wrong`."""
    scene, account = SCENES[name], Account(name)
    scene = replace(scene, times=times or scene.times)
    began = time.monotonic()
    life = Life(world, scene, name.replace(" ", "-"), account)
    try:
        with closing(StepLog(world.kube, life.job.name)) as log:
            life.play(within)
            life.judge(expected, log)
    except Exception as error:  # noqa: BLE001 (the other scenes go on)
        account.wrong.append(f"{type(error).__name__}: {str(error)[:2000]}")
    finally:
        life.clear()
    account.seconds = round(time.monotonic() - began, 1)
    account.wrong = [f"{name}: {words}" for words in account.wrong]
    return account


class Life:
    """One scene under way."""

    def __init__(self, world: Stage, scene: Scene, name: str, account: Account) -> None:
        node = world.cluster.node(NODE)
        if not isinstance(node, UmlNode):
            raise TypeError("uml-a has no kernel of its own")
        self.world, self.scene, self.node, self.account = world, scene, node, account
        self.job = WatchedJob(world.kube, name)
        self.attempt = 1
        self._pod: Object = {}

    def play(self, within: float) -> None:
        """From `kubectl apply` to the job's end."""
        if self.scene.ahead:
            self.node.kill()
            self.node.return_(ahead=self.scene.ahead)
        made = self.world.job(
            script.job(self.scene.habit, NODE), self.job.name, policyName="machine"
        )
        self.began = datetime.now(UTC)
        self.world.kube.apply(made)
        placed = self.job.until_placed(1, within=90)
        if placed != self.node.name:
            self.account.wrong.append(f"attempt 1 was placed on {placed}")
        for attempt in range(1, self.scene.times + 1):
            self.attempt = attempt
            self.job.until_commits(attempt, 1, within=240)
            self.scene.strike(self)
            if self.scene.endings:
                what = f"attempt {attempt} has ended"
                until(what, self._ended, within=240, seen=self.job.summary)
                self.account.reasons += _reasons(self._pod)
        self.job.until_condition("Succeeded", "True", within=within)

    def _ended(self) -> bool:
        with contextlib.suppress(KubectlError):
            self._pod = self.job.pod(self.attempt) or self._pod
        return bool(self.job.record(self.attempt).get("ending"))

    def exec(self, *command: str) -> None:
        """Run a command in the trainer of the attempt."""
        pod = f"{self.job.name}-{self.attempt}-0"
        self.world.kube.run("exec", pod, "--container", "trainer", "--", *command, within=60)

    def kill_sidecar(self) -> None:
        """SIGKILL to the sidecar's container; returns when the next one is ready."""
        (before,) = self._sidecars()
        ident = before["containerID"].removeprefix("containerd://")
        self.node.run(f"ctr --namespace k8s.io task kill --signal SIGKILL {ident}")
        (after,) = until(
            "the sidecar is back",
            lambda: [s for s in self._sidecars() if s["restartCount"] and s["ready"]],
            within=120,
            seen=self.job.summary,
        )
        self.account.sidecar_restarts = after["restartCount"]

    def _sidecars(self) -> list[Object]:
        pod = self.job.pod(1) or {}
        found: list[Object] = pod.get("status", {}).get("initContainerStatuses", [])
        return found

    def expect_shared_memory_bounded(self, seconds: float = 0.0) -> None:
        """The pod's shared memory is one set of arenas, for so long; nothing is killed for it."""
        limit = script.STAGING_MIB * 2**20 + _EXTRA
        end = time.monotonic() + seconds
        while True:
            found = dict(line.split() for line in self._memory().splitlines())
            self.account.shared_bytes = max(self.account.shared_bytes, int(found["shmem"]))
            if int(found["shmem"]) > limit:
                self.account.wrong.append(f"{found['shmem']} bytes of shared memory: two sets")
            if int(found["oom_kill"]):
                self.account.wrong.append("something of the pod was killed for its memory")
            if time.monotonic() >= end:
                return
            time.sleep(1)

    def _memory(self) -> str:
        uid = (self.job.pod(1) or {"metadata": {"uid": "gone"}})["metadata"]["uid"]
        group = f"*pod{uid.replace('-', '_')}.slice"
        return self.node.run(
            f"cd $(find /sys/fs/cgroup/kubepods.slice -maxdepth 2 -type d -name '{group}')"
            " && grep '^shmem ' memory.stat && grep '^oom_kill ' memory.events"
        )

    def judge(self, expected: Object, log: StepLog) -> None:
        """Compare what became of it with what was promised."""
        account, scene = self.account, self.scene
        status = self.job.status
        records = status.get("attempts", [])
        account.endings = [record["ending"] for record in records]
        account.charged = [record.get("charged") for record in records]
        account.messages = [record.get("message", "")[:300] for record in records]
        account.replayed = len(log.repeated({record["number"] for record in records}))
        first = records[0]
        wanted: dict[str, str | None] = {**scene.endings} or {"Completed": None}
        for struck in records[: scene.times]:
            ending, paid = struck["ending"], struck.get("charged")
            self._expect(ending in wanted, f"attempt {struck['number']} ended {ending}")
            self._expect(paid == wanted.get(ending), f"{ending} charged as {paid}")
        # One that waited beside a node which was well again was given up, and cost nothing.
        unplaced = [record for record in records if record["ending"] == "NotPlaced"]
        self._expect(not any("charged" in record for record in unplaced), "NotPlaced was charged")
        began = len(records) - len(unplaced)
        trained = 1 + scene.times if scene.endings else 1
        self._expect(began == trained, f"{began} attempts trained")
        if scene.saved:
            self._expect(account.replayed == 0, f"{account.replayed} steps were done again")
            self._expect(first.get("loss") == "Saved", f"loss: {first.get('loss')}")
        self._judge_sidecar()
        self._judge_state(expected)
        self._judge_time(status, records)

    def _judge_sidecar(self) -> None:
        for found in self._pod.get("status", {}).get("initContainerStatuses", []):
            for state in (found["state"], found.get("lastState", {})):
                reason = (state.get("terminated") or {}).get("reason")
                self._expect(reason != "OOMKilled", "the sidecar was killed for its memory")

    def _judge_state(self, expected: Object) -> None:
        lineage = self.job.lineage("e2e")
        newest = self.world.bucket.manifests(lineage)[0]
        found = self.world.bucket.tensors(lineage, newest)
        self.account.exact, told = same_bits(_arrays(found), _arrays(expected))
        self._expect(self.account.exact, f"the final state differs: {told}")

    def _judge_time(self, status: Object, records: list[Object]) -> None:
        created = _at(self.job.read()["metadata"]["creationTimestamp"])
        spent = status["time"]["buckets"]
        age = (_at(status["time"]["since"]) - created).total_seconds()
        self.account.ledger_gap = round(abs(sum(spent.values()) - age), 3)
        self._expect(self.account.ledger_gap < 2, f"time ledger: {spent} in {age:.1f} s")
        self._expect(min(spent.values()) >= 0, f"time ledger: {spent}")
        late = datetime.now(UTC) + _TOLERANCE
        for record in records:
            seen = [
                _at(record[key]) for key in ("createdAt", "runningAt", "endedAt") if key in record
            ]
            self._expect(seen == sorted(seen), f"instants out of order: {record}")
            inside = all(self.began - _TOLERANCE <= one <= late for one in seen)
            self._expect(inside, f"a node's clock is in the status: {record}")

    def _expect(self, holds: object, words: str) -> None:
        if not holds:
            self.account.wrong.append(words)

    def clear(self) -> None:
        """Leave the node on, with the right clock and without pods of this scene."""
        self.world.kube.delete("spottrainingjobs", self.job.name)
        if self.node.is_running():
            self.node.thaw()
        if self.scene.ahead:
            self.node.kill()
        if not self.node.is_running():
            self.node.return_()
        mine = f"spottraining.dev/job={self.job.name}"
        until("no pod is left", lambda: not self.world.kube.list("pods", mine), within=120)


def _reasons(pod: Object) -> list[str]:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    ends = [one["state"]["terminated"] for one in statuses if "terminated" in one["state"]]
    return [str(end.get("reason")) for end in ends]


def _arrays(tensors: Object) -> Object:
    """The trainer's arrays, without the typed state."""
    return {name: one for name, one in tensors.items() if name != STATE}


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def expected_state(folder: Path) -> Object:
    """What every scene's job must end with."""
    return script.uninterrupted(folder)
