"""Scenarios that several tests play, under whatever faults they add."""

from typing import Any

from kit.jobs import a_job_manifest, a_script_job, a_template
from kit.simcluster.world import World

__all__ = ["demo", "inject", "mesh", "script", "settle_down"]

Json = dict[str, Any]

PROXY: Json = {"name": "istio-proxy", "image": "beside/proxy"}


async def demo(world: World) -> None:
    """Notice, power cut, power cut with a spoilt checkpoint, finish."""
    world.apply(a_job_manifest())
    await world.until(lambda: world.step() >= 12, "step 12")
    first = world.node_of(1)
    world.announce_end(first, 20.0)
    await world.until(lambda: world.attempt() == 2 and world.step() >= 25, "step 25 of attempt 2")
    await world.until(lambda: not first.powered, "end of the first node")
    world.node_of(2).power_cut()
    first.power_on()
    await world.until(lambda: world.attempt() == 3 and world.step() >= 38, "step 38 of attempt 3")
    world.node_of(3).power_cut()
    world.lineage().flip_a_bit_of_the_newest()
    await world.until_finished()
    await settle_down(world)


async def script(world: World) -> None:
    """A script: power cut before the operator hears of a checkpoint, then a notice; finish."""
    world.mute = True
    world.apply(a_job_manifest(**a_script_job()))
    await world.until(lambda: world.step() >= 12, "step 12")
    world.node_of(1).power_cut()
    world.mute = False
    await world.until(lambda: world.attempt() == 3 and world.step() >= 25, "step 25 of attempt 3")
    world.announce_end(world.node_of(3), 40.0)
    await world.until_finished()
    await settle_down(world)


async def mesh(world: World) -> None:
    """A webhook puts a proxy, which never ends, before the trainer: a crash, then a process that
    stays after it has completed the job."""
    world.webhook(lambda pod: inject(pod, PROXY))
    world.plan.crashes, world.plan.lingers = {1: 15}, True
    main = {"name": "main", "image": "digits:1"}
    world.apply(a_job_manifest(template=a_template(containers=[main])))
    await world.until_finished()
    await settle_down(world)


def inject(pod: Json, container: Json) -> None:
    """Put a container before those of the pod."""
    pod["spec"]["containers"].insert(0, dict(container))


async def settle_down(world: World) -> None:
    """Until the pods that are to go have gone."""
    done = world.condition("Succeeded")["status"] == "True"
    if done:
        await world.until(lambda: not world.pods(), "end of the last pod")
