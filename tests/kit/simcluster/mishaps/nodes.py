"""What may befall a node."""

from functools import partial
from random import Random
from typing import Any, Final

from endings.admission import ADMITTED
from kit.simcluster.mishaps.chance import SKEWS, end_later, one_of, power_on, powered
from kit.simcluster.node import Node, Refusal
from kit.simcluster.world import World
from spot_operator.control.clock import timestamp
from spot_operator.control.errors import NotFound
from spot_operator.control.resource import NODES

Json = dict[str, Any]

REFUSED: Final = tuple(row.status for row in ADMITTED.rows if not row.begun)
"""With what a kubelet refuses a new pod."""


def power_cut(world: World, chance: Random) -> str | None:
    node = one_of(chance, powered(world))
    if node is None:
        return None
    node.power_cut()
    end_later(world, chance, lambda: power_on(node))
    return f"power cut of {node.name}"


def frozen(world: World, chance: Random) -> str | None:
    """The node reaches the API server no more, and comes back as it was."""
    node = one_of(chance, powered(world))
    if node is None:
        return None
    node.cut_off = True
    end_later(world, chance, lambda: setattr(node, "cut_off", False))
    return f"{node.name} is cut off"


def removed(world: World, chance: Random) -> str | None:
    node = one_of(chance, powered(world))
    if node is None or node.cut_off:
        return None
    node.remove()
    world.later(chance.uniform(20, 60), world.collect_pods_of_absent_nodes)
    end_later(world, chance, lambda: power_on(node))
    return f"{node.name} is removed"


def announced(world: World, chance: Random) -> str | None:
    node = one_of(chance, powered(world))
    if node is None or node.notice is not None:
        return None
    seconds = chance.uniform(3, 120)
    world.announce_end(node, seconds)
    end_later(world, chance, lambda: power_on(node), least=seconds + 1)
    return f"{node.name} goes in {seconds:.0f} s, and says so"


def false_alarm(world: World, chance: Random) -> str | None:
    node = one_of(chance, powered(world))
    if node is None or node.notice is not None:
        return None
    node.notice = {
        "kind": chance.choice(("Preempt", "Rebalance", "Maintenance")),
        "deadline": timestamp(world.clock.now()),
        "source": "imds",
        "observedAt": timestamp(node.clock.now()),
        "raw": "a false alarm",
    }
    end_later(world, chance, lambda: setattr(node, "notice", None))
    return f"{node.name} says wrongly that it goes"


def wrong_node_clock(world: World, chance: Random) -> str | None:
    node = one_of(chance, list(world.nodes.values()))
    if node is None:
        return None
    node.clock.skew = chance.choice(SKEWS)
    return f"the clock of {node.name} is set to {node.clock.skew:+.0f} s"


def two_at_once(world: World, chance: Random) -> str | None:
    nodes = powered(world)
    if len(nodes) < 2:
        return None
    gone = chance.sample(nodes, 2)
    for node in gone:
        node.power_cut()
        end_later(world, chance, partial(power_on, node))
    return f"power cuts of {' and '.join(one.name for one in gone)}"


def kept_off(world: World, chance: Random) -> str | None:
    """A taint that no pod of ours tolerates."""
    node = one_of(chance, powered(world))
    if node is None:
        return None
    taint = {"key": "example.com/kept", "effect": "NoSchedule"}
    _taint(world, node, [taint])
    end_later(world, chance, lambda: _taint(world, node, []))
    return f"{node.name} is tainted"


def rejecting(world: World, chance: Random) -> str | None:
    node = one_of(chance, powered(world))
    if node is None:
        return None
    status = chance.choice(REFUSED)
    node.refuses = Refusal(status)
    end_later(world, chance, lambda: setattr(node, "refuses", None))
    return f"{node.name} refuses pods: {status['reason']}"


def _taint(world: World, node: Node, taints: list[Json]) -> None:
    try:
        world.server.patch(NODES, node.name, {"spec": {"taints": taints}})
    except NotFound:
        return
