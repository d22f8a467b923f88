"""What may go wrong while a job trains: a table from which a seed draws.

Each mishap begins at once, ends by itself within `LONGEST` seconds and returns what it did, for the
story of a seed that failed; None: there was nothing to do it to. None of them is the trainer's
fault, so that no failure may be charged for any of them once the job's trainer has run.
"""

from typing import Final

from kit.simcluster.mishaps import nodes, operator, people, pods, server
from kit.simcluster.mishaps.chance import LONGEST, Mishap, power_on
from kit.simcluster.world import World

__all__ = ["LONGEST", "MISHAPS", "Mishap", "put_right"]

MISHAPS: Final[tuple[Mishap, ...]] = (
    nodes.power_cut,
    nodes.frozen,
    nodes.removed,
    nodes.announced,
    nodes.false_alarm,
    nodes.wrong_node_clock,
    nodes.rejecting,
    pods.ended_from_outside,
    pods.node_without_memory,
    pods.disrupted,
    pods.deleted,
    pods.name_taken,
    operator.crash,
    operator.restart,
    operator.stand_still,
    operator.wrong_leader_clock,
    operator.bad_network,
    operator.muted,
    server.refused,
    server.unheard,
    people.policy_away,
    people.policy_unreadable,
    people.suspended,
    people.endpoint_removed,
    people.secret_broken,
    nodes.two_at_once,
    nodes.kept_off,
    pods.annotated,
    pods.injected,
    operator.server_restarts,
    operator.news_lost,
    people.policy_edited,
    people.second_default,
    people.spec_unreadable,
    people.held,
    people.crds_outdated,
    people.authority_anew,
    pods.unlabelled,
    people.status_edited,
)


def put_right(world: World) -> None:
    """Every node on and true to the world, every replica well: what is left must finish."""
    for node in world.nodes.values():
        node.cut_off, node.refuses = False, None
        power_on(node)
    for replica in world.replicas.all:
        faults = replica.process.client.faults
        faults.lag, faults.blind, faults.cut = 0.0, False, False
        replica.process.resume()
