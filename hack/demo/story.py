"""The demo's story: what happens to one training job, act by act, and what is claimed of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cluster.cluster import Cluster
from stage.bucket import Bucket
from stage.job import WatchedJob
from stage.steplog import StepLog
from stage.waiting import until

from demo.proof import Claims, each_step_once, same_bits
from demo.timeline import Timeline

Object = dict[str, Any]
INTERVAL = 5.0
"""Seconds between two checkpoints, as in examples/digits/job.yaml."""
WARNING = 120
"""Seconds of warning that AWS gives before it takes a spot node."""
PREFIX = "demo"


@dataclass(frozen=True)
class Scene:
    """The job whose nodes are lost, the same job left alone, and what can be done to nodes."""

    job: WatchedJob
    reference: WatchedJob
    log: StepLog
    bucket: Bucket
    cluster: Cluster
    timeline: Timeline
    claims: Claims


def play(scene: Scene) -> None:
    """All acts in order; every wait is bounded, every claim is recorded in `scene.claims`."""
    first = begin(scene)
    announced_end(scene, first)
    second = second_attempt(scene)
    power_cut(scene, second)
    scene.cluster.node(first).return_()
    scene.timeline.tell(f"{first} comes back under its name, with a new boot id")
    third = third_attempt(scene, second)
    damaged = power_cut_and_damage(scene, third)
    scene.cluster.node(second).return_()
    fourth_attempt(scene, damaged)
    finish(scene)


def begin(scene: Scene) -> str:
    """The job trains on a spot node and has a checkpoint."""
    node = scene.job.until_placed(1, within=60)
    scene.timeline.tell(f"attempt 1 is bound to the spot node {node}")
    newest = scene.job.until_commits(1, 1, within=90)
    scene.timeline.tell(f"first checkpoint: step {newest['step']}, {_megabytes(newest)}")
    until("30 steps are done", lambda: scene.log.last_step(1) >= 30, within=60)
    return node


def announced_end(scene: Scene, node: str) -> None:
    """The node's metadata announces its end; the state is committed before it; the node dies."""
    deadline = scene.cluster.node(node).notice(WARNING)
    announced = time.time()
    scene.timeline.tell(f"{node}: the metadata service announces its end in {WARNING} s")
    heard = until("the trainer knows", lambda: scene.log.notes("notice"), within=30)[0]
    scene.timeline.tell(f"the trainer knows: {heard[1]['secondsLeft']:.0f} s left")
    # By the trainer's own clock, which is this machine's: its log takes a moment to arrive.
    waited = deadline.timestamp() - heard[1]["secondsLeft"] - announced
    scene.claims.claim(waited <= 3, "the trainer knows within 3 s", f"{waited:.1f} s")

    record = scene.job.until_ending(1, within=60)
    scene.timeline.tell(f"attempt 1 ended: {record['ending']}: {record.get('message', '')}")
    newest = scene.job.newest()
    spare = (deadline - datetime.fromisoformat(newest["committedAt"])).total_seconds()
    scene.claims.claim(
        spare > 0 and newest["attempt"] == 1 and newest["step"] == scene.log.last_step(1),
        "the last step's state is committed before the deadline",
        f"step {newest['step']}, {spare:.0f} s to spare",
    )
    scene.cluster.node(node).kill()
    scene.timeline.tell(f"{node} is gone")


def second_attempt(scene: Scene) -> str:
    """The next attempt goes on elsewhere with the next step."""
    node = scene.job.until_placed(2, within=60)
    scene.timeline.tell(f"attempt 2 is bound to {node}")
    until("attempt 2 trains", lambda: scene.log.last_step(2) > 0, within=90)
    newest = scene.job.until_commits(2, scene.log.last_step(2), within=60)
    scene.timeline.tell(f"attempt 2 committed step {newest['step']}")
    once, figures = each_step_once(scene.log, {1, 2}, start=1)
    scene.claims.claim(once, "across the notice each step ran exactly once: 0 replayed", figures)
    return node


def power_cut(scene: Scene, node: str) -> None:
    """The node dies without a word."""
    reached = scene.job.newest()["step"]
    until(
        "some steps are done that no checkpoint holds",
        lambda: scene.log.last_step(2) >= reached + 5,
        within=60,
    )
    scene.cluster.node(node).kill()
    scene.timeline.tell(f"{node}: power cut, no warning, at step {scene.log.last_step(2)}")


def third_attempt(scene: Scene, lost: str) -> str:
    """The loss is noticed without a report or a lease; no more than one interval is replayed."""
    node = scene.job.until_placed(3, within=150)
    record = scene.job.record(2)
    scene.timeline.tell(f"attempt 2 ended: {record.get('ending')}; attempt 3 is bound to {node}")
    until("attempt 3 trains", lambda: scene.log.last_step(3) > 0, within=90)
    resumed = min(line.step for line in scene.log.lines(3)) - 1
    lines = scene.log.lines(2)
    replayed = max(line.step for line in lines) - resumed
    at_resumed = next((line.received for line in lines if line.step == resumed), None)
    seconds = lines[-1].received - (at_resumed or lines[0].received)
    wrote = float(scene.job.newest().get("writeSeconds") or 0)
    scene.claims.claim(
        seconds <= INTERVAL + wrote + 1,
        f"after {lost} was cut, at most one interval is replayed",
        f"{replayed} steps, {seconds:.1f} s; interval {INTERVAL:.0f} s, write {wrote:.1f} s",
    )
    return node


def power_cut_and_damage(scene: Scene, node: str) -> Object:
    """Another power cut; then one bit of the newest checkpoint flips in the bucket."""
    start = min(line.step for line in scene.log.lines(3))
    newest = scene.job.until_commits(3, start + 20, within=90)
    scene.cluster.node(node).kill()
    scene.timeline.tell(f"{node}: power cut, no warning, at step {scene.log.last_step(3)}")
    lineage = scene.job.lineage(PREFIX)
    newest = scene.bucket.manifests(lineage)[0]
    damaged = max(newest["objects"], key=lambda entry: entry["size"])
    scene.bucket.flip_bit(lineage + damaged["key"])
    scene.timeline.tell(f"one bit of the checkpoint of step {newest['step']} flips in the bucket")
    return newest


def fourth_attempt(scene: Scene, damaged: Object) -> None:
    """The damaged checkpoint is quarantined and the one before it is resumed."""
    node = scene.job.until_placed(4, within=150)
    scene.timeline.tell(f"attempt 4 is bound to {node}")
    until("attempt 4 trains", lambda: scene.log.last_step(4) > 0, within=90)
    lineage = scene.job.lineage(PREFIX)
    before = scene.bucket.manifests(lineage)
    older = [m for m in before if (m["attempt"], m["step"]) < (damaged["attempt"], damaged["step"])]
    resumed = min(line.step for line in scene.log.lines(4)) - 1
    quarantined = scene.bucket.keys(f"{lineage}quarantine/")
    scene.claims.claim(
        any(damaged["id"] in key for key in quarantined) and resumed == older[0]["step"],
        "the damaged checkpoint is quarantined, the one before it is resumed",
        f"step {damaged['step']} quarantined, resumed at {resumed}",
    )
    scene.timeline.tell(f"step {damaged['step']} is quarantined; attempt 4 resumed at {resumed}")


def finish(scene: Scene) -> None:
    """Both jobs succeed, and their last checkpoints hold the same bits."""
    for job in (scene.job, scene.reference):
        found = job.until_condition("Succeeded", "True", within=300)
        scene.timeline.tell(f"{job.name}: {found['reason']}: {found.get('message', '')}")
    ours, theirs = (_final(scene, job) for job in (scene.job, scene.reference))
    same, figures = same_bits(ours, theirs)
    scene.claims.claim(same, "final state is bit-identical to the uninterrupted run", figures)
    attempts = scene.reference.status.get("attempt")
    scene.claims.claim(attempts == 1, "the reference was never interrupted", f"{attempts} attempt")


def _final(scene: Scene, job: WatchedJob) -> Object:
    lineage = job.lineage(PREFIX)
    return scene.bucket.tensors(lineage, scene.bucket.manifests(lineage)[0])


def _megabytes(newest: Object) -> str:
    return f"{newest.get('bytes', 0) / 2**20:.0f} MiB in {newest.get('writeSeconds', 0):.1f} s"
