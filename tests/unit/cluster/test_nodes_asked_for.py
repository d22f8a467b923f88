"""`--nodes` becomes nodes that look as a cloud's, or an error that says what to write."""

from __future__ import annotations

import pytest
from cluster import NodeSpec, PreconditionError, parse_nodes
from cluster.addresses import MAX_NODES
from cluster.pools import new_node


def test_names_and_indexes_follow_the_order_given() -> None:
    nodes = parse_nodes("spot=2,on-demand=1")
    assert [(node.name, node.index) for node in nodes] == [
        ("spot-a", 0),
        ("spot-b", 1),
        ("on-demand-a", 2),
    ]


def test_spot_nodes_are_labelled_and_tainted_as_spot() -> None:
    (node,) = parse_nodes("spot=1")
    assert node.labels["karpenter.sh/capacity-type"] == "spot"
    assert node.labels["eks.amazonaws.com/capacityType"] == "SPOT"
    assert {taint["key"] for taint in node.taints} == {
        "cloud.google.com/gke-spot",
        "nvidia.com/gpu",
    }


def test_on_demand_nodes_take_any_pod() -> None:
    (node,) = parse_nodes("on-demand=1")
    assert node.labels["eks.amazonaws.com/capacityType"] == "ON_DEMAND"
    assert node.taints == []


def test_a_node_with_its_own_kernel_is_a_spot_node() -> None:
    spot, own = parse_nodes("spot=1,uml=1")
    assert (own.name, own.index, own.own_kernel) == ("uml-a", 1, True)
    assert not spot.own_kernel
    assert own.taints == spot.taints
    assert own.labels["karpenter.sh/capacity-type"] == "spot"


def test_zones_differ_between_neighbours() -> None:
    assert len({node.zone for node in parse_nodes("spot=3")}) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("spot", "spot=3,on-demand=1"),
        ("spot=many", "spot=3,on-demand=1"),
        ("cheap=1", "spot, on-demand, uml"),
        (f"spot={MAX_NODES + 1}", f"room for {MAX_NODES} nodes"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(text: str, said: str) -> None:
    with pytest.raises(PreconditionError, match=said):
        parse_nodes(text)


@pytest.mark.parametrize("name", ["Spot", "9lives", "a-name-too-long-x", "ends-", ""])
def test_names_that_cannot_name_a_network_link_are_refused(name: str) -> None:
    with pytest.raises(PreconditionError, match="at most 15"):
        new_node(name, "spot", [])


def test_a_name_is_given_once() -> None:
    with pytest.raises(PreconditionError, match="already"):
        new_node("spot-a", "spot", [NodeSpec("spot-a", 0)])


def test_a_freed_index_is_used_again() -> None:
    others = [NodeSpec("one", 0), NodeSpec("three", 2)]
    assert new_node("two", "spot", others).index == 1
