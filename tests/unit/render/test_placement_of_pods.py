"""Where a rendered pod may run, judged by the scheduler's own rules written small."""

from typing import Any

import pytest
from spot_operator.render.placement import POOLS, node_affinity, tolerations

Json = dict[str, Any]

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
SPOT = {"eks.amazonaws.com/capacityType": "SPOT"}


def fits(affinity: Json, name: str, labels: dict[str, str]) -> bool:
    """Whether a node takes a pod of that required node affinity."""
    terms = affinity[REQUIRED]["nodeSelectorTerms"]
    return any(term_holds(term, name, labels) for term in terms)


def term_holds(term: Json, name: str, labels: dict[str, str]) -> bool:
    on_labels = term.get("matchExpressions") or []
    on_fields = term.get("matchFields") or []
    if not on_labels and not on_fields:
        return False
    return all(holds(one, labels) for one in on_labels) and all(
        holds(one, {"metadata.name": name}) for one in on_fields
    )


def holds(requirement: Json, values: dict[str, str]) -> bool:
    value, wanted = values.get(requirement["key"]), requirement.get("values", [])
    if requirement["operator"] == "In":
        return value in wanted
    if requirement["operator"] == "NotIn":
        return value not in wanted
    assert requirement["operator"] == "Exists"
    return value is not None


def required(*terms: Json) -> Json:
    return {REQUIRED: {"nodeSelectorTerms": list(terms)}}


def wants(key: str, *values: str) -> Json:
    return {"matchExpressions": [{"key": key, "operator": "In", "values": list(values)}]}


@pytest.mark.parametrize("pool", POOLS, ids=lambda pool: pool.label)
def test_every_providers_spot_nodes_will_do(pool: Any) -> None:
    for value in pool.values:
        assert fits(node_affinity(None, []), "n", {pool.label: value})


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"eks.amazonaws.com/capacityType": "ON_DEMAND"},
        {"karpenter.sh/capacity-type": "on-demand"},
        {"karpenter.sh/capacity-type": "reserved"},
        {"cloud.google.com/gke-spot": "false"},
        {"node.alibabacloud.com/spot-strategy": "NoSpot"},
    ],
    ids=str,
)
def test_other_nodes_will_not(labels: dict[str, str]) -> None:
    assert not fits(node_affinity(None, []), "n", labels)


def test_excluded_nodes_are_avoided_by_name() -> None:
    affinity = node_affinity(None, ["a", "b", "a"])
    assert [name for name in "abc" if fits(affinity, name, SPOT)] == ["c"]
    for term in affinity[REQUIRED]["nodeSelectorTerms"]:
        assert all(len(field["values"]) == 1 for field in term["matchFields"])


@pytest.mark.parametrize(
    ("theirs", "labels", "expected"),
    [
        (required(wants("zone", "a")), {"zone": "a", **SPOT}, True),
        (required(wants("zone", "a")), {"zone": "a"}, False),
        (required(wants("zone", "a")), {"zone": "b", **SPOT}, False),
        (required(wants("zone", "a"), wants("gpu", "h")), {"gpu": "h", **SPOT}, True),
        (required(wants("zone", "a"), wants("gpu", "h")), {"gpu": "l", **SPOT}, False),
        (required({}), SPOT, False),
        (required({}, wants("zone", "a")), {"zone": "a", **SPOT}, True),
        (required({}, wants("zone", "a")), SPOT, False),
    ],
)
def test_what_the_template_requires_holds_as_well(
    theirs: Json, labels: dict[str, str], expected: bool
) -> None:
    assert fits(node_affinity(theirs, ["other"]), "n", labels) is expected


def test_what_the_template_prefers_stays() -> None:
    prefers = {PREFERRED: [{"weight": 1, "preference": wants("zone", "a")}]}
    assert node_affinity(prefers, [])[PREFERRED] == prefers[PREFERRED]


def test_a_last_resort_is_disliked_beside_what_the_template_prefers() -> None:
    prefers = {"weight": 1, "preference": wants("zone", "a")}
    affinity = node_affinity({PREFERRED: [prefers]}, ["a"], ["b", "c"])
    theirs, ours = affinity[PREFERRED]
    assert theirs == prefers
    assert ours["weight"] == 100
    liked = {REQUIRED: {"nodeSelectorTerms": [ours["preference"]]}}
    assert [name for name in "bcd" if fits(liked, name, SPOT)] == ["d"]
    assert [name for name in "abc" if fits(affinity, name, SPOT)] == ["b", "c"], "they may be taken"
    assert all(len(field["values"]) == 1 for field in ours["preference"]["matchFields"])
    assert PREFERRED not in node_affinity(None, ["a"])


def tolerates(all_tolerations: list[Json], key: str, effect: str) -> float | None:
    """Seconds a pod stays under that taint, as the taint eviction controller counts them."""
    matching = [
        one
        for one in all_tolerations
        if one.get("key") in (None, "", key) and one.get("effect") in (None, "", effect)
    ]
    limits = [one["tolerationSeconds"] for one in matching if "tolerationSeconds" in one]
    return min(limits, default=float("inf")) if matching else None


@pytest.mark.parametrize(
    ("key", "effect"),
    [
        ("cloud.google.com/gke-spot", "NoSchedule"),
        ("kubernetes.azure.com/scalesetpriority", "NoSchedule"),
        ("oci.oraclecloud.com/oke-is-preemptible", "NoSchedule"),
        ("karpenter.sh/capacity-type", "NoSchedule"),
        ("nvidia.com/gpu", "NoSchedule"),
        ("node.kubernetes.io/not-ready", "NoExecute"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
    ],
)
@pytest.mark.parametrize(
    "theirs",
    [
        [],
        [{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "tolerationSeconds": 5}],
        [{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9}],
    ],
    ids=["none", "unreachable for 5 s", "anything for 9 s"],
)
def test_these_taints_are_tolerated_without_limit(
    key: str, effect: str, theirs: list[Json]
) -> None:
    assert tolerates(tolerations(theirs), key, effect) == float("inf")


@pytest.mark.parametrize(
    ("key", "effect"),
    [
        ("node.kubernetes.io/not-ready", "NoSchedule"),
        ("node.kubernetes.io/unschedulable", "NoSchedule"),
        ("node.kubernetes.io/out-of-service", "NoExecute"),
        ("karpenter.sh/disrupted", "NoSchedule"),
        ("ToBeDeletedByClusterAutoscaler", "NoSchedule"),
    ],
)
def test_the_taints_of_a_node_that_goes_are_not_tolerated(key: str, effect: str) -> None:
    assert tolerates(tolerations([]), key, effect) is None


def test_the_templates_tolerations_stay_and_none_comes_twice() -> None:
    theirs: list[Json] = [
        {"key": "team", "operator": "Equal", "value": "vision"},
        {"key": "nvidia.com/gpu", "operator": "Exists"},
        {"key": "maintenance", "operator": "Exists", "tolerationSeconds": 5, "effect": "NoExecute"},
    ]
    both = tolerations(theirs)
    assert both[:3] == theirs
    assert both.count({"key": "nvidia.com/gpu", "operator": "Exists"}) == 1
