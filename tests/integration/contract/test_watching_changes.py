"""Watches: what is told, in which order, from where on, and how they end."""

import asyncio
from contextlib import aclosing

from integration.contract.world import WIDGETS, Api
from spot_operator.control.client import Json
from spot_operator.control.resource import PODS


async def test_every_change_after_the_list_is_told_in_order(api: Api) -> None:
    await api.widget("before")
    since = await api.position()
    made = await api.widget(spec={"size": 1})
    changed = await api.client.replace(WIDGETS, {**made, "spec": {"size": 2}})
    await api.client.delete(WIDGETS, "one", namespace=api.namespace)
    told = await api.events(WIDGETS, since, 3)
    assert [event.type for event in told] == ["ADDED", "MODIFIED", "DELETED"]
    assert [event.object for event in told[:2]] == [made, changed]
    versions = [int(event.object["metadata"]["resourceVersion"]) for event in told]
    assert versions == sorted(set(versions))
    assert told[2].object["spec"] == {"size": 2}


async def test_changes_are_told_while_the_watch_is_open(api: Api) -> None:
    since = await api.position()
    telling = asyncio.create_task(api.events(WIDGETS, since, 1))
    made = await api.widget()
    assert [event.object for event in await telling] == [made]


async def test_no_change_is_told_for_a_write_that_changes_nothing(api: Api) -> None:
    made = await api.widget(spec={"size": 1})
    since = await api.position()
    await api.client.replace(WIDGETS, made)
    await api.widget("two")
    (told,) = await api.events(WIDGETS, since, 1)
    assert told.object["metadata"]["name"] == "two"


async def test_leaving_and_entering_a_selection_look_like_death_and_birth(api: Api) -> None:
    await api.widget(labels={"seen": "yes"})
    since = await api.position()
    for value in (None, "yes"):
        patch = {"metadata": {"labels": {"seen": value}}}
        await api.client.patch(WIDGETS, "one", patch, namespace=api.namespace)
    now = await api.read(WIDGETS)
    gone, back = await api.events(WIDGETS, since, 2, label_selector="seen=yes")
    assert (gone.type, back.type) == ("DELETED", "ADDED")
    assert gone.object["metadata"]["labels"] == {"seen": "yes"}
    assert int(since) < int(gone.object["metadata"]["resourceVersion"])
    assert back.object == now


async def test_what_is_not_selected_is_not_told(api: Api) -> None:
    since = await api.position()
    await api.widget("unseen")
    seen = await api.widget("seen", labels={"seen": "yes"})
    (told,) = await api.events(WIDGETS, since, 1, label_selector="seen=yes")
    assert told.object == seen


async def test_a_pod_on_a_node_goes_step_by_step(api: Api) -> None:
    await api.pod(node="n1")
    since = await api.position(PODS)
    for grace in (None, 0):
        await api.client.delete(PODS, "one", namespace=api.namespace, grace_seconds=grace)
    told = await api.events(PODS, since, 3)
    assert [event.type for event in told] == ["MODIFIED", "MODIFIED", "DELETED"]
    graces = [event.object["metadata"]["deletionGracePeriodSeconds"] for event in told]
    assert graces == [30, 0, 0]


async def test_a_watch_ends_quietly_when_its_time_is_over(api: Api) -> None:
    since = await api.position()
    made = await api.widget()
    assert await _all_told(api, since) == [made]


async def test_a_watch_from_the_future_tells_nothing_of_the_present(api: Api) -> None:
    since = str(int(await api.position()) + 1_000_000)
    await api.widget()
    assert await _all_told(api, since) == []


async def _all_told(api: Api, since: str) -> list[Json]:
    """What a watch of two seconds brings until it ends by itself."""
    async with asyncio.timeout(20):
        watch = api.client.watch(
            WIDGETS, resource_version=since, namespace=api.namespace, timeout_seconds=2
        )
        async with aclosing(watch) as events:
            return [event.object async for event in events]
