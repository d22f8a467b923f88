"""Lists: what selectors find, and that all pages show one moment."""

import pytest
from integration.contract.world import WIDGETS, Api
from spot_operator.control.client import list_all
from spot_operator.control.errors import BadRequest
from spot_operator.control.resource import PODS

LABELS = {
    "red": {"colour": "red", "app": "x"},
    "blue": {"colour": "blue", "app": "x", "example.com/size": "big"},
    "plain": {},
}


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("", {"red", "blue", "plain"}),
        ("colour=red", {"red"}),
        ("colour==red", {"red"}),
        ("colour!=red", {"blue", "plain"}),
        ("colour in (red, blue)", {"red", "blue"}),
        ("colour notin (red)", {"blue", "plain"}),
        ("colour", {"red", "blue"}),
        ("!colour", {"plain"}),
        ("app=x,colour in (blue,green),example.com/size", {"blue"}),
        ("colour=green", set()),
    ],
)
async def test_label_selectors(api: Api, selector: str, found: set[str]) -> None:
    for name, labels in LABELS.items():
        await api.widget(name, labels=labels)
    page = await api.client.list(WIDGETS, namespace=api.namespace, label_selector=selector)
    assert {item["metadata"]["name"] for item in page.items} == found


@pytest.mark.parametrize("selector", ["a b", "a in x", "=b"])
async def test_a_selector_that_makes_no_sense_is_refused(api: Api, selector: str) -> None:
    with pytest.raises(BadRequest):
        await api.client.list(WIDGETS, namespace=api.namespace, label_selector=selector)


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("metadata.name=a", {"a"}),
        ("spec.nodeName=n1", {"a", "b"}),
        ("spec.nodeName!=n1", {"c"}),
        ("spec.nodeName=", {"c"}),
        ("spec.nodeName=n1,metadata.name!=a", {"b"}),
        ("status.phase=Pending", {"a", "b", "c"}),
    ],
)
async def test_field_selectors(api: Api, selector: str, found: set[str]) -> None:
    for name, node in {"a": "n1", "b": "n1", "c": ""}.items():
        await api.pod(name, node=node)
    page = await api.client.list(PODS, namespace=api.namespace, field_selector=selector)
    assert {item["metadata"]["name"] for item in page.items} == found


async def test_items_say_what_they_are(api: Api) -> None:
    await api.widget()
    await api.pod()
    for resource in (WIDGETS, PODS):
        (item,) = (await api.client.list(resource, namespace=api.namespace)).items
        assert (item["apiVersion"], item["kind"]) == (resource.api_version, resource.kind)


async def test_pages_show_the_moment_of_the_first(api: Api) -> None:
    for number in range(5):
        await api.widget(f"w{number}")
    first = await api.client.list(WIDGETS, namespace=api.namespace, limit=2)
    await api.client.delete(WIDGETS, "w4", namespace=api.namespace)
    await api.widget("w9")
    rest = await api.client.list(WIDGETS, namespace=api.namespace, limit=2, more=first.more)
    last = await api.client.list(WIDGETS, namespace=api.namespace, limit=2, more=rest.more)
    names = [i["metadata"]["name"] for page in (first, rest, last) for i in page.items]
    assert names == ["w0", "w1", "w2", "w3", "w4"]
    assert {page.resource_version for page in (rest, last)} == {first.resource_version}
    assert last.more == ""


async def test_a_whole_list_is_all_its_pages(api: Api) -> None:
    for number in range(7):
        await api.widget(f"w{number}", spec={"size": number})
    listing = await list_all(
        api.client,
        WIDGETS,
        namespace=api.namespace,
        limit=3,
        trim=lambda item: {"metadata": item["metadata"]},
    )
    assert [item["metadata"]["name"] for item in listing.items] == [f"w{n}" for n in range(7)]
    assert all("spec" not in item for item in listing.items)


async def test_a_list_without_a_namespace_is_of_all(api: Api) -> None:
    made = await api.widget()
    listing = await list_all(api.client, WIDGETS)
    assert made in listing.items
