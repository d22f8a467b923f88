"""Which nodes a new pod may not go to, which it goes to only at need, and for how long."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from kit.builders import (
    a_default_policy,
    a_node,
    a_pod,
    a_scene,
    a_snapshot,
    after,
    an_identity,
    at_work,
    bound,
    expect_actions,
    expect_ending,
    expect_rest,
    gone,
    later,
    persisted,
    seeing,
    terminating,
    the_rank,
    waiting,
)
from spot_operator.api.names import State
from spot_operator.domain.actions import CreatePod
from spot_operator.domain.nodes.exclusions import exclude
from spot_operator.domain.observed.snapshot import (
    ContainerView,
    NodeView,
    PodView,
    Snapshot,
    TaintView,
)
from spot_operator.domain.state.ledger import ExcludedNode, Trouble

HOUR = 3600
NODE = a_node("node-1")
NO_NODE = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity"


def created(*there: NodeView, **changes: object) -> Snapshot:
    """An attempt of which no pod exists yet."""
    nodes = there or tuple(a_node(f"node-{k}") for k in (1, 2, 3))
    base = persisted(a_snapshot(nodes=nodes))
    return replace(base, **changes)  # type: ignore[arg-type]


def excluding(snapshot: Snapshot, *known: ExcludedNode) -> Snapshot:
    return replace(snapshot, ledger=replace(snapshot.ledger, excluded=known))


def the_pod(snapshot: Snapshot) -> CreatePod:
    (create,) = expect_actions(snapshot)
    assert isinstance(create, CreatePod)
    return create


@pytest.mark.parametrize(
    ("ending", "barred_for"),
    [
        ("NodeLost", 0),
        ("PlatformTrouble", 0),
        ("AdmissionRejected", 300),
        ("Preempted", 600),
        ("OutOfMemory", 600),  # of a node that had been told of its preemption
        ("BadNode", HOUR),
    ],
)
def test_an_ending_bars_its_node_for_a_while_then_it_is_a_last_resort(
    ending: str, barred_for: int
) -> None:
    before = excluding(created(), ExcludedNode(NODE.identity, ending, after(0)))
    for seconds in (0, 299, 300, 599, 600, HOUR - 1, HOUR):
        create = the_pod(later(before, seconds))
        barred = seconds < barred_for
        assert create.barred_nodes == (("node-1",) if barred else ())
        held = seconds < HOUR and not barred
        assert create.last_resort_nodes == (("node-1",) if held else ())


def test_a_node_that_is_silent_leaving_or_noticed_is_barred() -> None:
    there = (
        a_node("node-1"),
        a_node("node-2", lease_age=151.0),
        a_node("node-3", taints=(TaintView("karpenter.sh/disrupted"),)),
        a_node("node-4"),
    )
    snapshot = created(*there, visibility=seeing(*there), noticed_nodes=frozenset({"node-4"}))
    lost = ExcludedNode(a_node("node-2").identity, "NodeLost", after(0))
    create = the_pod(excluding(snapshot, lost))
    assert create.barred_nodes == ("node-2", "node-3", "node-4")
    assert create.last_resort_nodes == ()


@pytest.mark.parametrize("change", [{"boot_id": "the next"}, {"uid": "another"}])
def test_another_machine_or_boot_is_avoided_for_nothing(change: dict[str, str]) -> None:
    former = replace(NODE.identity, **change)
    create = the_pod(excluding(created(), ExcludedNode(former, "BadNode", after(0))))
    assert (create.barred_nodes, create.last_resort_nodes) == ((), ())


def test_a_clock_that_was_ahead_excludes_for_no_longer() -> None:
    """A former leader's clock: this one counts from what it saw itself."""
    ahead = ExcludedNode(NODE.identity, "BadNode", after(86_400))
    young = excluding(created(visibility=seeing(NODE, leading_for=60)), ahead)
    assert the_pod(young).barred_nodes == ("node-1",)
    old = replace(young, visibility=seeing(NODE, leading_for=HOUR))
    assert the_pod(old).barred_nodes == ()


def pending(*there: NodeView, avoids: str = "node-1", **pod: object) -> Snapshot:
    """An attempt whose pod found no node, and was told to avoid one."""
    stuck = replace(a_pod(avoids=(avoids,), unschedulable=NO_NODE), **pod)  # type: ignore[arg-type]
    return persisted(created(*there, pods=(stuck,), policies=(a_default_policy(),)))


def given_up(before: Snapshot) -> bool:
    return persisted(before).ledger.state is State.STOPPING


def test_a_pod_that_avoids_what_would_take_it_by_now_is_given_up_uncharged() -> None:
    silent = a_node("node-1", lease_age=500.0)
    unplaced = pending(silent)
    assert unplaced.ledger.state is State.CREATED
    expect_rest(unplaced)
    back = replace(unplaced, nodes={"node-1": NODE}, visibility=seeing(NODE))
    stopping = persisted(back)
    assert stopping.ledger.state is State.STOPPING
    over = persisted(replace(stopping, pods=tuple(gone(pod) for pod in stopping.pods)))
    record = expect_ending(over.ledger, "NotPlaced")
    assert record.charged is None
    assert "node-1" in record.message
    assert (over.ledger.attempt, over.ledger.state) == (2, State.CREATING), "at once"
    assert the_pod(over).barred_nodes == ()


UNFIT = {
    "silent": a_node(lease_age=500.0),
    "not ready": a_node(ready=False),
    "cordoned": a_node(unschedulable=True),
    "unreachable": a_node(taints=(TaintView("node.kubernetes.io/unreachable", "", "NoSchedule"),)),
    "leaving": a_node(taints=(TaintView("karpenter.sh/disrupted", "", "NoSchedule"),)),
}


@pytest.mark.parametrize("why", UNFIT)
def test_a_node_that_would_not_take_it_changes_nothing(why: str) -> None:
    expect_rest(pending(UNFIT[why]))


def test_what_is_no_such_pod_or_no_such_node_is_left_alone() -> None:
    assert given_up(pending(NODE, avoids="node-1"))
    expect_rest(pending(a_node("node-2"), avoids="node-1"))
    expect_rest(pending(NODE, avoids="node-2"))
    unsaid = pending(NODE, unschedulable=None)
    expect_rest(unsaid)
    placed = pending(NODE, node_name="node-1", unschedulable=None)
    assert not given_up(placed)
    assert not given_up(replace(unsaid, pods=(bound(a_pod(avoids=("node-1",))),)))
    dying = replace(unsaid, pods=(terminating(a_pod(avoids=("node-1",), unschedulable=NO_NODE)),))
    assert not given_up(dying)


def test_a_leader_that_has_seen_little_gives_nothing_up() -> None:
    """A list shows a lease of a dead node as it shows one of a living node."""
    unplaced = pending(a_node("node-1", lease_age=500.0))
    young = replace(unplaced, nodes={"node-1": NODE})
    once = replace(seeing(NODE), leases={"node-1": (1.0,)})
    expect_rest(replace(young, visibility=once))
    expect_rest(replace(young, visibility=seeing(NODE, fresh=False)))
    assert given_up(replace(young, visibility=replace(once, leases={"node-1": (1.0, 11.0)})))


def full(pod: PodView) -> PodView:
    return waiting(pod, "ErrImagePull", "write /var/lib/containerd/x: no space left on device")


def undriven(pod: PodView) -> PodView:
    failed = ContainerView(
        "trainer",
        "terminated",
        "StartError",
        "failed to inject CDI devices: unresolvable CDI devices nvidia.com/gpu=0",
        128,
        finished_at=after(0),
    )
    return replace(pod, phase="Failed", trainer=failed)


def given_up_after_trouble(pod: PodView) -> Snapshot:
    """The attempt whose pod got no further has been given up, and the next one's time has come."""
    there = tuple(a_node(f"node-{k}") for k in (1, 2, 3))
    first = persisted(a_snapshot(nodes=there, policies=(a_default_policy(),)))
    stuck = persisted(replace(first, pods=(pod,)))
    stopped = persisted(later(stuck, 600))
    ended = tuple(gone(replace(pod, phase="Failed")) for pod in stopped.pods)
    over = persisted(later(stopped, 5, pods=ended))
    expect_ending(over.ledger, "PlatformTrouble")
    due = over.ledger.not_before or over.now
    return persisted(replace(over, now=due, pods=()))


@pytest.mark.parametrize("stuck", [full, undriven])
def test_the_node_of_a_pod_that_could_not_start_is_a_last_resort(
    stuck: Callable[[PodView], PodView],
) -> None:
    over = given_up_after_trouble(stuck(bound(a_pod(), NODE)))
    create = the_pod(over)
    assert (create.barred_nodes, create.last_resort_nodes) == ((), ("node-1",))


def test_in_a_gang_only_the_node_with_the_trouble_is_avoided() -> None:
    before = at_work()
    one, trouble = the_rank(before.ledger), Trouble("Registry", "ErrImagePull", "", after(0), 600)
    ranks = (
        replace(one, node=an_identity("node-1")),
        replace(one, rank=1, node=an_identity("node-2"), trouble=trouble),
    )
    known = exclude(a_scene(before), before.ledger, "PlatformTrouble", ranks).excluded
    assert [one.node.name for one in known] == ["node-2"]


def test_no_number_of_troubled_nodes_drives_out_one_that_is_barred() -> None:
    bad = ExcludedNode(NODE.identity, "BadNode", after(-60))
    troubled = tuple(
        ExcludedNode(a_node(f"old-{k}").identity, "PlatformTrouble", after(-30)) for k in range(15)
    )
    there = tuple(a_node(f"node-{k}") for k in (1, 2, 3))
    first = persisted(a_snapshot(nodes=there, policies=(a_default_policy(),)))
    stuck = persisted(
        excluding(replace(first, pods=(full(bound(a_pod(), there[1])),)), bad, *troubled)
    )
    stopped = persisted(later(stuck, 600))
    ended = tuple(gone(replace(pod, phase="Failed")) for pod in stopped.pods)
    known = persisted(later(stopped, 5, pods=ended)).ledger.excluded
    assert bad in known
    assert known[-1].node == there[1].identity
    assert len(known) <= 16


def test_nodes_that_come_and_go_are_followed_ever_more_slowly() -> None:
    silent = a_node("node-1", lease_age=500.0)
    waits = []
    snapshot = pending(silent)
    for _ in range(4):
        back = replace(snapshot, nodes={"node-1": NODE}, visibility=seeing(NODE))
        stopping = persisted(back)
        over = persisted(replace(stopping, pods=tuple(gone(pod) for pod in stopping.pods)))
        wait = over.ledger.not_before - over.now if over.ledger.not_before else None
        waits.append(wait.total_seconds() if wait else 0)
        over = persisted(later(over, waits[-1]))
        attempt = over.ledger.attempt
        stuck = a_pod(attempt, avoids=("node-1",), unschedulable=NO_NODE)
        snapshot = persisted(
            replace(over, nodes={"node-1": silent}, visibility=seeing(silent), pods=(stuck,))
        )
    assert waits == [0, 10, 20, 40]
