"""Deletion: at once, held back by finalizers, or after a pod's grace."""

import pytest
from integration.contract.world import WIDGETS, Api
from spot_operator.control.client import Json
from spot_operator.control.errors import Conflict, Invalid, NotFound
from spot_operator.control.resource import PODS


async def test_what_nobody_holds_back_goes_at_once(api: Api) -> None:
    await api.widget()
    await api.client.delete(WIDGETS, "one", namespace=api.namespace)
    await api.expect_absent(WIDGETS)


async def test_deleting_what_is_not_there_fails(api: Api) -> None:
    with pytest.raises(NotFound):
        await api.client.delete(WIDGETS, "one", namespace=api.namespace)


async def test_a_deletion_may_be_meant_for_one_uid(api: Api) -> None:
    made = await api.widget()
    with pytest.raises(Conflict):
        await api.client.delete(WIDGETS, "one", namespace=api.namespace, uid="another")
    await api.client.delete(WIDGETS, "one", namespace=api.namespace, uid=made["metadata"]["uid"])
    await api.expect_absent(WIDGETS)


async def test_a_deletion_may_be_meant_for_one_version(api: Api) -> None:
    made = await api.widget(spec={"size": 1})
    changed = await api.client.replace(WIDGETS, {**made, "spec": {"size": 2}})
    old, new = (item["metadata"]["resourceVersion"] for item in (made, changed))
    with pytest.raises(Conflict):
        await api.client.delete(WIDGETS, "one", namespace=api.namespace, resource_version=old)
    await api.client.delete(WIDGETS, "one", namespace=api.namespace, resource_version=new)
    await api.expect_absent(WIDGETS)


async def test_a_finalizer_holds_the_object_back_until_it_is_removed(api: Api) -> None:
    await api.widget(finalizers=["example.com/mine"])
    await api.client.delete(WIDGETS, "one", namespace=api.namespace)
    held = await api.read(WIDGETS)
    assert held["metadata"]["deletionTimestamp"]
    held["metadata"]["finalizers"] = []
    await api.client.replace(WIDGETS, held)
    await api.expect_absent(WIDGETS)


async def test_a_second_deletion_of_a_held_object_changes_nothing(api: Api) -> None:
    await api.widget(finalizers=["example.com/mine"])
    await api.client.delete(WIDGETS, "one", namespace=api.namespace)
    held = await api.read(WIDGETS)
    await api.client.delete(WIDGETS, "one", namespace=api.namespace)
    assert await api.read(WIDGETS) == held


async def test_a_going_object_can_still_be_changed_but_takes_no_new_finalizer(api: Api) -> None:
    await api.widget(finalizers=["example.com/mine"])
    await api.client.delete(WIDGETS, "one", namespace=api.namespace)
    labelled = await api.client.patch(
        WIDGETS, "one", {"metadata": {"labels": {"a": "b"}}}, namespace=api.namespace
    )
    assert labelled["metadata"]["labels"] == {"a": "b"}
    more = {"metadata": {"finalizers": ["example.com/mine", "example.com/more"]}}
    with pytest.raises(Invalid):
        await api.client.patch(WIDGETS, "one", more, namespace=api.namespace)


@pytest.mark.parametrize(
    ("propagation", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")]
)
async def test_waiting_for_dependents_is_a_finalizer(
    api: Api, propagation: str, finalizer: str
) -> None:
    await api.widget()
    await api.client.delete(
        WIDGETS,
        "one",
        namespace=api.namespace,
        propagation=propagation,  # type: ignore[arg-type]
    )
    assert (await api.read(WIDGETS))["metadata"]["finalizers"] == [finalizer]


async def test_a_pod_without_a_node_goes_at_once(api: Api) -> None:
    await api.pod()
    await api.client.delete(PODS, "one", namespace=api.namespace)
    await api.expect_absent(PODS)


async def test_a_pod_on_a_node_is_marked_and_waits_for_its_kubelet(api: Api) -> None:
    made = await api.pod(node="n1", grace=45)
    await api.client.delete(PODS, "one", namespace=api.namespace)
    going = await api.read(PODS)
    assert going["metadata"]["deletionGracePeriodSeconds"] == 45
    assert going["metadata"]["deletionTimestamp"] > made["metadata"]["creationTimestamp"]
    await api.client.delete(
        PODS, "one", namespace=api.namespace, uid=made["metadata"]["uid"], grace_seconds=0
    )
    await api.expect_absent(PODS)


async def test_a_pods_grace_is_thirty_seconds_unless_it_says_so(api: Api) -> None:
    await api.pod(node="n1")
    await api.client.delete(PODS, "one", namespace=api.namespace)
    assert (await api.read(PODS))["metadata"]["deletionGracePeriodSeconds"] == 30


async def test_a_pods_grace_can_be_shortened_but_not_lengthened(api: Api) -> None:
    await api.pod(node="n1", grace=60)
    seen: list[int] = []
    for grace in (40, 50, 10):
        await api.client.delete(PODS, "one", namespace=api.namespace, grace_seconds=grace)
        seen.append((await api.read(PODS))["metadata"]["deletionGracePeriodSeconds"])
    assert seen == [40, 40, 10]


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_a_finished_pod_goes_at_once(api: Api, phase: str) -> None:
    await api.pod(node="n1")
    patch: Json = {"status": {"phase": phase}}
    await api.client.patch(PODS, "one", patch, namespace=api.namespace, subresource="status")
    await api.client.delete(PODS, "one", namespace=api.namespace)
    await api.expect_absent(PODS)


async def test_a_held_pod_outlives_its_grace(api: Api) -> None:
    await api.pod(node="n1")
    hold = {"metadata": {"finalizers": ["example.com/mine"]}}
    await api.client.patch(PODS, "one", hold, namespace=api.namespace)
    await api.client.delete(PODS, "one", namespace=api.namespace, grace_seconds=0)
    assert (await api.read(PODS))["metadata"]["deletionGracePeriodSeconds"] == 0
    release = {"metadata": {"finalizers": None}}
    await api.client.patch(PODS, "one", release, namespace=api.namespace)
    await api.expect_absent(PODS)
