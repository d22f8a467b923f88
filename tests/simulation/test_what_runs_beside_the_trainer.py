"""Pods with more than a trainer: proxies, TensorBoard and log shippers that never end, of the
template or put there by a webhook; and trainers whose process stays after their last word."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from kit.clock import FakeClock, in_fake_time
from kit.jobs import a_job_manifest, a_script_job, a_template
from kit.simcluster.invariants import expect_invariants, outcome
from kit.simcluster.stories import PROXY, inject, settle_down
from kit.simcluster.world import World
from spot_operator.api import names
from spot_operator.domain.attempt.pod_ending import LINGERS

Json = dict[str, Any]
Change = Callable[[Json], None]

MAIN = {"name": "main", "image": "digits:1"}
TRAINER = {"name": "trainer", "image": "digits:1"}
TENSORBOARD = {"name": "tensorboard", "image": "beside/stubborn"}
NATIVE = {"name": "mesh", "image": "mesh:1", "restartPolicy": "Always"}


def in_a_world(play: Callable[[World], Awaitable[None]], **make: Any) -> None:
    async def scenario(clock: FakeClock) -> None:
        await play(await World.make(clock, **make))

    in_fake_time(scenario)


def endings(world: World) -> list[str]:
    return [ending for _, ending, _ in outcome(world)["endings"]]


async def to_the_end(world: World, **spec: Any) -> None:
    world.apply(a_job_manifest(**spec))
    await world.until_finished()
    await settle_down(world)
    expect_invariants(world)


def appended(pod: Json) -> None:
    pod["spec"]["containers"].append(dict(PROXY))


def called_trainer(pod: Json) -> None:
    pod["spec"]["containers"].append(PROXY | {"name": names.TRAINER_CONTAINER})


def before_our_sidecar(pod: Json) -> None:
    for container in (NATIVE, {"name": "init", "image": "init:1"}):
        pod["spec"].get("initContainers", []).insert(0, dict(container))
    inject(pod, PROXY)


def forgetful(pod: Json) -> None:
    """It drops the annotations that it does not know, as one that copies the few it knows does."""
    pod["metadata"].get("annotations", {}).pop(names.ANNOTATION_TRAINER, None)
    inject(pod, PROXY)


WEBHOOKS: dict[str, Change] = {
    "appends a proxy": appended,
    "puts a proxy first": lambda pod: inject(pod, PROXY),
    "adds a container of the name that trainers have": called_trainer,
    "puts its own before our sidecar": before_our_sidecar,
    "drops our annotation": forgetful,
}
TEMPLATES: dict[str, list[Json]] = {
    "one container of any name": [MAIN],
    "a trainer and TensorBoard": [TENSORBOARD, TRAINER],
}


@pytest.mark.parametrize("change", WEBHOOKS.values(), ids=WEBHOOKS)
@pytest.mark.parametrize("spec", [{}, {"completion": "ExitCode"}], ids=["marker", "exit code"])
def test_a_webhook_changes_neither_endings_nor_charges(change: Change, spec: Json) -> None:
    async def play(world: World) -> None:
        world.webhook(change)
        world.plan.crashes = {1: 15}
        template = a_template(containers=[MAIN])
        await to_the_end(world, template=template, **spec)
        assert outcome(world)["endings"] == [
            (1, "TrainerFailed", "Failure"),
            (2, "Completed", None),
        ]

    in_a_world(play)


@pytest.mark.parametrize("containers", TEMPLATES.values(), ids=TEMPLATES)
def test_a_script_that_exits_is_complete_whatever_runs_on(containers: list[Json]) -> None:
    async def play(world: World) -> None:
        world.webhook(appended)
        await to_the_end(world, template=a_template(containers=containers), **a_script_job())
        assert endings(world) == ["Completed"]

    in_a_world(play)


@pytest.mark.parametrize("stays", ["beside/proxy", "beside/stubborn"])
def test_the_upload_under_way_when_the_trainer_crashed_is_not_lost(stays: str) -> None:
    """A container that does not heed SIGTERM would use up the grace that the upload needs."""

    async def play(world: World) -> None:
        world.webhook(lambda pod: inject(pod, PROXY | {"image": stays}))
        world.plan.crashes, world.plan.uploading = {1: 15}, 60.0
        await to_the_end(world)
        second = world.status()["attempts"][1]
        assert second["resumedFrom"]["step"] == 15

    in_a_world(play)


@pytest.mark.parametrize("stays", ["beside/proxy", "beside/stubborn"])
def test_the_last_set_of_a_script_is_taken_before_its_pod_is_ended(stays: str) -> None:
    """Its sidecar cannot see that the script has ended: the operator tells it."""

    async def play(world: World) -> None:
        world.webhook(lambda pod: inject(pod, PROXY | {"image": stays}))
        world.plan.uploading = 60.0
        await to_the_end(world, **a_script_job())
        assert endings(world) == ["Completed"]
        assert [model.step for model in world.lineage().complete.values()] == [world.plan.steps]

    in_a_world(play)


def test_the_upload_under_way_is_not_lost_where_nothing_else_runs() -> None:
    async def play(world: World) -> None:
        world.plan.crashes, world.plan.uploading = {1: 15}, 60.0
        await to_the_end(world)
        assert world.status()["attempts"][1]["resumedFrom"]["step"] == 15

    in_a_world(play)


def test_a_failed_pod_in_which_nothing_else_runs_stays_for_its_logs() -> None:
    async def play(world: World) -> None:
        world.plan.crashes, world.plan.uploading = {1: 15}, 5.0
        world.apply(a_job_manifest())
        await world.until(lambda: bool(world.pods_named("digits-1-0", "Failed")), "its end")
        assert "deletionTimestamp" not in world.pods_named("digits-1-0")[0]["metadata"]
        await world.until_finished()

    in_a_world(play)


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a proxy"])
def test_a_process_that_stays_after_it_has_completed_the_job_gives_its_node_back(
    beside: bool,
) -> None:
    async def play(world: World) -> None:
        if beside:
            world.webhook(appended)
        world.plan.lingers = True
        world.apply(a_job_manifest())
        await world.until(lambda: bool(world.lineage().complete), "completion")
        limit = LINGERS.total_seconds() + 60
        await world.until_finished(limit=limit)
        await settle_down(world)
        assert endings(world) == ["Completed"]
        expect_invariants(world)

    in_a_world(play)


def test_nodes_that_go_under_pods_with_a_proxy_cost_what_they_cost_without() -> None:
    async def play(world: World) -> None:
        world.webhook(lambda pod: inject(pod, PROXY))
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 12, "step 12")
        world.announce_end(world.node_of(1), 60.0)
        await world.until(lambda: world.attempt() == 2 and world.step() >= 25, "attempt 2")
        world.node_of(2).power_cut()
        await world.until_finished()
        await settle_down(world)
        assert endings(world) == ["Paused", "NodeLost", "Completed"]
        expect_invariants(world)

    in_a_world(play)


@pytest.mark.parametrize("fails", [0, 1])
def test_a_proxy_does_not_keep_a_purge_under_way(fails: int) -> None:
    async def play(world: World) -> None:
        world.webhook(lambda pod: inject(pod, PROXY))
        world.purges_fail = fails
        checkpoint = {"store": {"s3": {"bucket": "checkpoints"}}, "deletionPolicy": "Delete"}
        world.apply(a_job_manifest(checkpoint=checkpoint))
        await world.until(lambda: world.step() >= 12, "step 12")
        lineage = world.lineage()
        world.delete()
        await world.until(lambda: not world.exists(), "end of the job", limit=300)
        assert lineage.commits == []
        assert len(world.purges) == fails + 1
        await world.until(lambda: not world.pods(), "end of the last pod")

    in_a_world(play)
