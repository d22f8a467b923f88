"""Create, replace, patch: who wins, what is kept, what counts as a change."""

from typing import Any

import pytest
from integration.contract.world import WIDGETS, Api, pod, widget
from spot_operator.control.client import Json, PatchKind
from spot_operator.control.errors import (
    AlreadyExists,
    ApiError,
    BadRequest,
    Conflict,
    Invalid,
    NamespaceTerminating,
    NotFound,
)
from spot_operator.control.resource import CONFIGMAPS, LEASES, NAMESPACES, PODS


def _version(item: Json) -> int:
    return int(item["metadata"]["resourceVersion"])


async def test_a_created_object_is_given_identity_and_keeps_its_content(api: Api) -> None:
    made = await api.widget(labels={"a": "b"}, spec={"size": 3})
    assert made["metadata"]["uid"]
    assert made["metadata"]["creationTimestamp"].endswith("Z")
    assert made["metadata"]["generation"] == 1
    assert made["spec"] == {"size": 3}
    assert await api.read(WIDGETS) == made


async def test_a_name_can_be_taken_once(api: Api) -> None:
    await api.widget()
    with pytest.raises(AlreadyExists):
        await api.widget()


async def test_the_same_name_later_is_another_object(api: Api) -> None:
    first = await api.widget()
    await api.client.delete(WIDGETS, "one", namespace=api.namespace)
    second = await api.widget()
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert _version(second) > _version(first)


async def test_a_generated_name_is_the_prefix_and_more(api: Api) -> None:
    body: Json = {"metadata": {"generateName": "many-", "namespace": api.namespace}}
    body |= {"apiVersion": WIDGETS.api_version, "kind": WIDGETS.kind}
    names = {(await api.client.create(WIDGETS, body)).object["metadata"]["name"] for _ in "ab"}
    assert len(names) == 2
    assert all(name.startswith("many-") and len(name) == 10 for name in names)


async def test_a_dry_run_creates_nothing(api: Api) -> None:
    body = widget("one", api.namespace, spec={})
    made = await api.client.create(WIDGETS, body, dry_run=True)
    assert made.object["metadata"]["uid"]
    await api.expect_absent(WIDGETS)


async def test_nothing_is_created_in_a_namespace_that_is_not_there(api: Api) -> None:
    with pytest.raises(NotFound):
        await api.client.create(WIDGETS, widget("one", "no-such-namespace"))


async def test_nothing_is_created_in_a_namespace_that_is_going(api: Api) -> None:
    await api.client.delete(NAMESPACES, api.namespace)
    with pytest.raises(NamespaceTerminating):
        await api.widget()


async def test_a_new_object_has_no_version_yet(api: Api) -> None:
    with pytest.raises(ApiError, match="resourceVersion should not be set"):
        await api.client.create(WIDGETS, widget("one", api.namespace, resourceVersion="7"))


async def test_the_body_may_not_name_another_namespace(api: Api) -> None:
    with pytest.raises(BadRequest):
        await api.client.create(WIDGETS, widget("one", api.namespace), namespace="default")


async def test_a_replace_with_the_current_version_wins_and_the_next_with_it_loses(
    api: Api,
) -> None:
    made = await api.widget(spec={"size": 1})
    changed = await api.client.replace(WIDGETS, {**made, "spec": {"size": 2}})
    assert _version(changed) > _version(made)
    with pytest.raises(Conflict):
        await api.client.replace(WIDGETS, {**made, "spec": {"size": 3}})
    assert (await api.read(WIDGETS))["spec"] == {"size": 2}


async def test_a_replace_that_changes_nothing_is_no_change(api: Api) -> None:
    made = await api.widget(spec={"size": 1})
    assert await api.client.replace(WIDGETS, made) == made


@pytest.mark.parametrize("resource", [WIDGETS, LEASES], ids=str)
async def test_these_kinds_refuse_a_replace_without_a_version(api: Api, resource: Any) -> None:
    body = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": "one", "namespace": api.namespace},
        "spec": {},
    }
    await api.client.create(resource, body)
    with pytest.raises(Invalid):
        await api.client.replace(resource, body)


async def test_built_in_kinds_accept_a_replace_without_a_version(api: Api) -> None:
    body: Json = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "one", "namespace": api.namespace},
        "data": {"a": "b"},
    }
    await api.client.create(CONFIGMAPS, body)
    changed = await api.client.replace(CONFIGMAPS, {**body, "data": {"a": "c"}})
    assert changed["data"] == {"a": "c"}


async def test_a_replace_of_another_object_of_the_same_name_is_a_conflict(api: Api) -> None:
    made = await api.widget()
    meta = {**made["metadata"], "uid": "00000000-0000-0000-0000-000000000000"}
    with pytest.raises(Conflict):
        await api.client.replace(WIDGETS, {**made, "metadata": meta})


async def test_a_replace_of_what_is_not_there_fails(api: Api) -> None:
    with pytest.raises(NotFound):
        await api.client.replace(WIDGETS, widget("one", api.namespace, resourceVersion="1"))


async def test_what_the_server_owns_cannot_be_replaced(api: Api) -> None:
    made = await api.widget(spec={"size": 1})
    lies = {"creationTimestamp": "2001-01-01T00:00:00Z", "generation": 99}
    body = {**made, "metadata": {**made["metadata"], **lies}, "spec": {"size": 2}}
    changed = await api.client.replace(WIDGETS, body)
    assert changed["metadata"]["creationTimestamp"] == made["metadata"]["creationTimestamp"]
    assert changed["metadata"]["generation"] == 2


async def test_a_merge_patch_sets_replaces_and_removes(api: Api) -> None:
    await api.widget(spec={"keep": 1, "drop": 2, "list": [1, 2]}, labels={"a": "b"})
    patch = {"spec": {"drop": None, "list": [3], "new": {"deep": True}}}
    changed = await api.client.patch(WIDGETS, "one", patch, namespace=api.namespace)
    assert changed["spec"] == {"keep": 1, "list": [3], "new": {"deep": True}}
    assert changed["metadata"]["labels"] == {"a": "b"}


async def test_a_merge_patch_that_changes_nothing_is_no_change(api: Api) -> None:
    made = await api.widget(spec={"size": 1})
    patch = {"spec": {"size": 1}}
    assert await api.client.patch(WIDGETS, "one", patch, namespace=api.namespace) == made


@pytest.mark.parametrize(
    ("field", "wrong", "refusal"),
    [("resourceVersion", "1", Conflict), ("uid", "00000000-0000-0000-0000-000000000000", Invalid)],
)
async def test_a_merge_patch_may_carry_a_precondition(
    api: Api, field: str, wrong: str, refusal: type[ApiError]
) -> None:
    made = await api.pod()
    meta = {"annotations": {"told": "yes"}}
    right = {"metadata": {**meta, field: made["metadata"][field]}}
    await api.client.patch(PODS, "one", right, namespace=api.namespace)
    patch = {"metadata": {"annotations": {"told": "no"}, field: wrong}}
    with pytest.raises(refusal):
        await api.client.patch(PODS, "one", patch, namespace=api.namespace)
    assert (await api.read(PODS))["metadata"]["annotations"] == meta["annotations"]


async def test_a_json_patch_applies_whole_or_not_at_all(api: Api) -> None:
    await api.widget(spec={"size": 1, "parts": ["a"]})
    patch: list[Json] = [
        {"op": "test", "path": "/spec/size", "value": 1},
        {"op": "add", "path": "/spec/parts/-", "value": "b"},
    ]
    changed = await api.client.patch(
        WIDGETS, "one", patch, namespace=api.namespace, kind=PatchKind.JSON
    )
    assert changed["spec"]["parts"] == ["a", "b"]
    failing: list[Json] = [
        {"op": "add", "path": "/spec/parts/-", "value": "c"},
        {"op": "test", "path": "/spec/size", "value": 7},
    ]
    with pytest.raises(Invalid):
        await api.client.patch(
            WIDGETS, "one", failing, namespace=api.namespace, kind=PatchKind.JSON
        )
    assert (await api.read(WIDGETS))["spec"]["parts"] == ["a", "b"]


async def test_a_patch_of_what_is_not_there_fails(api: Api) -> None:
    with pytest.raises(NotFound):
        await api.client.patch(WIDGETS, "one", {"spec": {}}, namespace=api.namespace)


async def test_a_pods_spec_is_fixed_but_for_a_few_fields(api: Api) -> None:
    body = pod("one", api.namespace)
    body["spec"]["schedulingGates"] = [{"name": "example.com/wait"}]
    await api.client.create(PODS, body)
    open_gate: Json = {"spec": {"schedulingGates": []}}
    opened = await api.client.patch(PODS, "one", open_gate, namespace=api.namespace)
    assert not opened["spec"].get("schedulingGates")
    for spec in ({"hostname": "other"}, {"schedulingGates": [{"name": "example.com/again"}]}):
        with pytest.raises(Invalid):
            await api.client.patch(PODS, "one", {"spec": spec}, namespace=api.namespace)
