"""What may befall the operator: its processes, their clocks, their network."""

from functools import partial
from random import Random

from kit.simcluster.mishaps.chance import SKEWS, a_replica, a_while, end_later
from kit.simcluster.world import World


def crash(world: World, chance: Random) -> str | None:
    replica = a_replica(world, chance)
    replica.process.die()
    return f"{replica.address} is killed"


def restart(world: World, chance: Random) -> str | None:
    replica = a_replica(world, chance)
    if replica.life is None or replica.process.paused:
        return None
    replica.end_gracefully()
    return f"{replica.address} is restarted"


def stand_still(world: World, chance: Random) -> str | None:
    process = a_replica(world, chance).process
    process.pause()
    world.later(chance.uniform(1, 60), process.resume)
    return f"{process.name} stands still"


def wrong_leader_clock(world: World, chance: Random) -> str | None:
    """From now on, in this life and in those that follow."""
    replica = a_replica(world, chance)
    replica.skew = chance.choice(SKEWS)
    replica.process.clock.skew = replica.skew
    return f"the clock of {replica.address} is set to {replica.skew:+.0f} s"


def bad_network(world: World, chance: Random) -> str | None:
    replica = a_replica(world, chance)
    faults = replica.process.client.faults
    kind = chance.choice(("lag", "blind", "cut"))
    setattr(faults, kind, 12.0 if kind == "lag" else True)
    end_later(world, chance, lambda: setattr(faults, kind, 0.0 if kind == "lag" else False))
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
    until, odds = world.clock.monotonic() + a_while(chance), Random(chance.random())

    def lost(_resource: object, _event: object) -> bool:
        return world.clock.monotonic() < until and odds.random() < 0.3

    for replica in world.replicas.all:
        replica.process.client.faults.lose(lost)
    return "watch events are lost"


def muted(world: World, chance: Random) -> str | None:
    world.mute = True
    end_later(world, chance, lambda: setattr(world, "mute", False))
    return "reports are lost"
