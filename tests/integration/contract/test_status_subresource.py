"""Two doors to one object: the status goes through its own, everything else through the other."""

import pytest
from integration.contract.world import WIDGETS, Api
from spot_operator.control.client import Json
from spot_operator.control.errors import Conflict, NotFound
from spot_operator.control.resource import LEASES, PODS


async def _with_status(api: Api, status: Json) -> Json:
    made = await api.widget(spec={"size": 1})
    return await api.client.replace_status(WIDGETS, {**made, "status": status})


async def test_a_new_object_has_no_status(api: Api) -> None:
    made = await api.widget(status={"phase": "Lies"})
    assert "status" not in made


async def test_replacing_the_status_leaves_everything_else(api: Api) -> None:
    made = await api.widget(spec={"size": 1}, labels={"a": "b"})
    meta = {**made["metadata"], "labels": {"a": "c"}}
    body = {**made, "metadata": meta, "spec": {"size": 9}, "status": {"phase": "Good"}}
    changed = await api.client.replace_status(WIDGETS, body)
    assert changed["status"] == {"phase": "Good"}
    assert changed["spec"] == {"size": 1}
    assert changed["metadata"]["labels"] == {"a": "b"}


async def test_replacing_the_object_leaves_the_status(api: Api) -> None:
    good = await _with_status(api, {"phase": "Good"})
    body = {**good, "spec": {"size": 2}, "status": {"phase": "Bad"}}
    changed = await api.client.replace(WIDGETS, body)
    assert (changed["spec"], changed["status"]) == ({"size": 2}, {"phase": "Good"})


async def test_patches_keep_to_their_door(api: Api) -> None:
    await _with_status(api, {"phase": "Good"})
    both = {"spec": {"size": 2}, "status": {"phase": "Bad"}}
    front = await api.client.patch(WIDGETS, "one", both, namespace=api.namespace)
    assert (front["spec"], front["status"]) == ({"size": 2}, {"phase": "Good"})
    more = {"spec": {"size": 3}, "status": {"phase": "Worse"}}
    back = await api.client.patch(
        WIDGETS, "one", more, namespace=api.namespace, subresource="status"
    )
    assert (back["spec"], back["status"]) == ({"size": 2}, {"phase": "Worse"})


async def test_the_generation_counts_changes_of_the_spec_alone(api: Api) -> None:
    made = await api.widget(spec={"size": 1})
    steps: list[tuple[Json, str, int]] = [
        ({"metadata": {"labels": {"a": "b"}}}, "", 1),
        ({"status": {"phase": "Good"}}, "status", 1),
        ({"spec": {"size": 2}}, "", 2),
        ({"spec": {"size": 2}}, "", 2),
    ]
    assert made["metadata"]["generation"] == 1
    for patch, subresource, generation in steps:
        changed = await api.client.patch(
            WIDGETS, "one", patch, namespace=api.namespace, subresource=subresource
        )
        assert changed["metadata"]["generation"] == generation, patch


async def test_the_status_is_versioned_like_the_rest(api: Api) -> None:
    made = await api.widget()
    await api.client.replace_status(WIDGETS, {**made, "status": {"phase": "Good"}})
    with pytest.raises(Conflict):
        await api.client.replace_status(WIDGETS, {**made, "status": {"phase": "Bad"}})


async def test_a_status_that_is_the_same_is_no_change(api: Api) -> None:
    good = await _with_status(api, {"phase": "Good"})
    assert await api.client.replace_status(WIDGETS, good) == good


async def test_the_status_of_what_is_not_there_is_not_created(api: Api) -> None:
    made = await api.widget()
    await api.client.delete(WIDGETS, "one", namespace=api.namespace)
    with pytest.raises(NotFound):
        await api.client.replace_status(WIDGETS, {**made, "status": {"phase": "Good"}})


async def test_a_kind_without_the_subresource_has_no_such_door(api: Api) -> None:
    lease = {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.kind,
        "metadata": {"name": "one", "namespace": api.namespace},
        "spec": {},
    }
    made = await api.client.create(LEASES, lease)
    with pytest.raises(NotFound):
        await api.client.replace_status(LEASES, made.object)


async def test_a_new_pod_is_pending_whatever_it_says(api: Api) -> None:
    made = await api.pod()
    assert made["status"]["phase"] == "Pending"
    patch = {"status": {"phase": "Running"}}
    changed = await api.client.patch(
        PODS, "one", patch, namespace=api.namespace, subresource="status"
    )
    assert changed["status"]["phase"] == "Running"
