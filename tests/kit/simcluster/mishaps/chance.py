"""What the mishaps have in common: to whom, and for how long."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final

from kit.simcluster.node import Node
from kit.simcluster.replicas import Replica
from kit.simcluster.world import World

Json = dict[str, Any]
Mishap = Callable[[World, Random], str | None]

LONGEST: Final = 400.0
"""Seconds."""
SKEWS: Final = (-86_400.0, -3_600.0, -200.0, -30.0, 30.0, 200.0, 3_600.0, 86_400.0)
"""By how many seconds a clock may be wrong."""


def one_of(chance: Random, choices: list[Node]) -> Node | None:
    return chance.choice(choices) if choices else None


def powered(world: World) -> list[Node]:
    return [node for node in world.nodes.values() if node.powered]


def a_replica(world: World, chance: Random) -> Replica:
    return chance.choice(world.replicas.all)


def a_running_pod(world: World, chance: Random) -> tuple[Json | None, Node | None]:
    """A pod that runs on a node that is on, and that node."""
    found = list(_pods_on_nodes(world))
    return chance.choice(found) if found else (None, None)


def _pods_on_nodes(world: World) -> Iterator[tuple[Json, Node]]:
    for pod in world.pods():
        node = world.nodes.get(pod["spec"].get("nodeName") or "")
        runs = pod["status"].get("phase") == "Running"
        if node is not None and node.powered and runs:
            yield pod, node


def a_while(chance: Random) -> float:
    return min(LONGEST, chance.choice((2.0, 20.0, 120.0, LONGEST)) * chance.uniform(0.5, 1.0))


def end_later(
    world: World, chance: Random, undo: Callable[[], object], *, least: float = 0.0
) -> None:
    world.later(max(least, a_while(chance)), undo)


def power_on(node: Node) -> None:
    if not node.powered:
        node.power_on()
