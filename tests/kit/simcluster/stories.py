"""Scenarios that several tests play, under whatever faults they add."""

from kit.jobs import a_job_manifest, a_script_job
from kit.simcluster.world import World

__all__ = ["demo", "script", "settle_down"]


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


async def settle_down(world: World) -> None:
    """Until the pods that are to go have gone."""
    done = world.condition("Succeeded")["status"] == "True"
    if done:
        await world.until(lambda: not world.pods(), "end of the last pod")
