"""What only the fake can show: its faults, its controllers, its processes.

What it shares with the real server is in tests/integration/contract.
"""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from kit.clock import FakeClock, FakeEntropy, in_fake_time, settle
from kit.fakeapi import (
    Call,
    FakeApiServer,
    FakeClient,
    GarbageCollector,
    Process,
    calls,
    custom,
    delay,
    fail,
    run,
    the_write,
)
from spot_operator.control.client import Json, PatchKind
from spot_operator.control.errors import (
    BadRequest,
    Conflict,
    Gone,
    Invalid,
    NotFound,
    Unavailable,
)
from spot_operator.control.resource import CONFIGMAPS, NAMESPACES, PODS, TOKENREVIEWS, Resource

THINGS = Resource("example.com", "v1", "things", "Thing")


def a_server(clock: FakeClock, **options: Any) -> FakeApiServer:
    server = FakeApiServer(clock, FakeEntropy(), **options)
    server.register(custom(THINGS))
    return server


def thing(name: str, **meta: Any) -> Json:
    return {"metadata": {"name": name, "namespace": "default", **meta}}


def owned_by(owner: Json, **more: Any) -> Json:
    """Metadata of a dependent."""
    reference = {
        "kind": "Thing",
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    return {"ownerReferences": [{**reference, **more}]}


def names(server: FakeApiServer, resource: Resource = THINGS) -> list[str]:
    return [item["metadata"]["name"] for item in server.objects(resource)]


# --- history ---


def test_a_watch_from_before_the_history_is_gone() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock, history=3)
        since = server.list(THINGS).resource_version
        for number in range(3):
            server.create(THINGS, thing(f"t{number}"))
        server.open_watch(THINGS, resource_version=since)
        server.create(THINGS, thing("t3"))
        with pytest.raises(Gone):
            server.open_watch(THINGS, resource_version=since)

    in_fake_time(scenario)


def test_forgotten_history_is_gone_for_watches_and_pages() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        for number in range(3):
            server.create(THINGS, thing(f"t{number}"))
        page = server.list(THINGS, limit=1)
        server.create(THINGS, thing("t3"))
        server.forget_history()
        with pytest.raises(Gone):
            server.list(THINGS, limit=1, more=page.more)
        with pytest.raises(Gone):
            server.open_watch(THINGS, resource_version=page.resource_version)

    in_fake_time(scenario)


def test_a_watch_hears_a_bookmark_every_minute_and_before_its_end() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        client = FakeClient(server)
        since = server.list(THINGS).resource_version
        server.create(CONFIGMAPS, thing("something-else-that-moves-the-counter"))
        heard: list[float] = []
        watch = client.watch(THINGS, resource_version=since, timeout_seconds=150)
        async with aclosing(watch) as events:
            async for event in events:
                assert event.type == "BOOKMARK"
                heard.append(clock.monotonic())
        assert heard == pytest.approx([60, 120, 148], abs=0.01)
        assert clock.monotonic() == pytest.approx(150)

    in_fake_time(scenario)


def test_a_watch_hears_no_bookmark_while_nothing_at_all_happens() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        since = server.list(THINGS).resource_version
        watch = FakeClient(server).watch(THINGS, resource_version=since, timeout_seconds=150)
        async with aclosing(watch) as events:
            assert [event async for event in events] == []

    in_fake_time(scenario)


def test_a_watch_opened_at_a_lists_version_must_be_a_number() -> None:
    async def scenario(clock: FakeClock) -> None:
        for version in ("", "0", "yesterday"):
            with pytest.raises(BadRequest):
                a_server(clock).open_watch(THINGS, resource_version=version)

    in_fake_time(scenario)


# --- admission and virtual kinds ---


def test_a_test_may_refuse_and_warn_as_admission_would() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)

        def rule(old: Json | None, new: Json) -> list[str]:
            if old is not None and new["spec"] != old["spec"]:
                raise Invalid("spec is immutable")
            return ["spec.typo is unknown"] if "typo" in new["spec"] else []

        server.admission[THINGS] = [rule]
        made = server.create(THINGS, {**thing("t"), "spec": {"typo": 1}})
        assert made.warnings == ("spec.typo is unknown",)
        with pytest.raises(Invalid, match="immutable"):
            server.patch(THINGS, "t", {"spec": {"a": 1}}, namespace="default")

    in_fake_time(scenario)


def test_a_kind_may_only_answer() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        server.virtual[TOKENREVIEWS] = lambda body: {
            **body,
            "status": {"authenticated": body["spec"]["token"] == "good"},
        }
        client = FakeClient(server)
        made = await client.create(TOKENREVIEWS, {"spec": {"token": "good"}})
        assert made.object["status"] == {"authenticated": True}
        with pytest.raises(NotFound):
            server.objects(TOKENREVIEWS)

    in_fake_time(scenario)


def test_what_is_not_modelled_is_refused_not_guessed() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        server.create(THINGS, thing("t"))
        with pytest.raises(BadRequest):
            server.patch(THINGS, "t", {}, namespace="default", kind=PatchKind.APPLY)
        with pytest.raises(NotFound):
            server.objects(Resource("example.com", "v1", "others", "Other"))

    in_fake_time(scenario)


def test_what_is_read_can_be_changed_without_changing_the_server() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        body = {**thing("t"), "spec": {"parts": [1]}}
        made = server.create(THINGS, body).object
        for copy in (body, made, server.get(THINGS, "t", "default"), *server.objects(THINGS)):
            copy["spec"]["parts"].append(2)
        assert server.get(THINGS, "t", "default")["spec"] == {"parts": [1]}

    in_fake_time(scenario)


# --- what others in the cluster do ---


def test_the_scheduler_binds_a_pod_once_and_no_gated_one() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        server.create(PODS, {**thing("p"), "spec": {"schedulingGates": [{"name": "wait"}]}})
        with pytest.raises(Conflict):
            server.bind("default", "p", "n1")
        server.patch(PODS, "p", {"spec": {"schedulingGates": None}}, namespace="default")
        bound = server.bind("default", "p", "n1")
        assert bound["spec"]["nodeName"] == "n1"
        assert [c["type"] for c in bound["status"]["conditions"]] == ["PodScheduled"]
        with pytest.raises(Conflict):
            server.bind("default", "p", "n2")

    in_fake_time(scenario)


def test_dependents_follow_their_owner_step_by_step() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        owner = server.create(THINGS, thing("owner")).object
        child = server.create(THINGS, thing("child", **owned_by(owner))).object
        server.create(THINGS, thing("grandchild", **owned_by(child)))
        server.create(THINGS, thing("stranger"))
        collector = GarbageCollector(server, clock)
        collector.collect()
        assert names(server) == ["child", "grandchild", "owner", "stranger"]
        server.delete(THINGS, "owner", namespace="default")
        running = asyncio.create_task(collector.run())
        await clock.sleep(5)
        assert names(server) == ["stranger"]
        running.cancel()

    in_fake_time(scenario)


def test_a_dependent_of_a_recreated_owner_goes_too() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        owner = server.create(THINGS, thing("owner")).object
        server.create(THINGS, thing("child", **owned_by(owner)))
        server.delete(THINGS, "owner", namespace="default")
        server.create(THINGS, thing("owner"))
        GarbageCollector(server, clock).collect()
        assert names(server) == ["owner"]

    in_fake_time(scenario)


def test_a_foreground_deletion_waits_for_what_blocks_it() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        owner = server.create(THINGS, thing("owner")).object
        blocking = owned_by(owner, blockOwnerDeletion=True)
        server.create(THINGS, thing("child", **blocking, finalizers=["example.com/hold"]))
        server.delete(THINGS, "owner", namespace="default", propagation="Foreground")
        collector = GarbageCollector(server, clock)
        for _ in range(3):
            collector.collect()
        assert names(server) == ["child", "owner"]
        server.patch(THINGS, "child", {"metadata": {"finalizers": None}}, namespace="default")
        collector.collect()
        assert names(server) == []

    in_fake_time(scenario)


def test_an_orphaning_deletion_leaves_the_dependents() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        owner = server.create(THINGS, thing("owner")).object
        server.create(THINGS, thing("child", **owned_by(owner)))
        server.delete(THINGS, "owner", namespace="default", propagation="Orphan")
        collector = GarbageCollector(server, clock)
        for _ in range(3):
            collector.collect()
        assert names(server) == ["child"]
        assert server.get(THINGS, "child", "default")["metadata"]["ownerReferences"] == []

    in_fake_time(scenario)


def test_a_namespace_goes_when_it_is_empty() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock, namespaces=("default", "team"))
        held = {"metadata": {"name": "t", "namespace": "team", "finalizers": ["example.com/h"]}}
        server.create(THINGS, held)
        server.delete(NAMESPACES, "team")
        collector = GarbageCollector(server, clock)
        for _ in range(3):
            collector.collect()
        assert names(server, NAMESPACES) == ["default", "kube-system", "team"]
        server.patch(THINGS, "t", {"metadata": {"finalizers": None}}, namespace="team")
        collector.collect()
        assert names(server, NAMESPACES) == ["default", "kube-system"]

    in_fake_time(scenario)


# --- faults ---


def test_an_error_before_means_not_done_and_one_after_means_done() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        client = FakeClient(server)
        client.faults.on(the_write(1), before=fail(Unavailable("lost on the way")))
        client.faults.on(the_write(2), after=fail(Unavailable("answer lost")))
        for name in ("a", "b"):
            with pytest.raises(Unavailable):
                await client.create(THINGS, thing(name))
        await client.create(THINGS, thing("c"))
        assert names(server) == ["b", "c"]

    in_fake_time(scenario)


def test_faults_choose_by_verb_kind_name_and_number_of_times() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        client = FakeClient(server)
        seen: list[str] = []

        async def note(call: Call) -> None:
            seen.append(str(call))

        client.faults.on(calls("create", THINGS, "a"), before=note)
        client.faults.on(calls(resource=CONFIGMAPS), before=delay(clock, 7), times=1)
        for name in ("a", "b"):
            await client.create(THINGS, thing(name))
        for _ in range(2):
            await client.list(CONFIGMAPS)
        assert seen == ["create things.example.com default/a"]
        assert clock.monotonic() == 7
        client.faults.clear()
        await client.list(CONFIGMAPS)

    in_fake_time(scenario)


def test_latency_and_cuts_take_their_time() -> None:
    async def scenario(clock: FakeClock) -> None:
        client = FakeClient(a_server(clock))
        client.faults.latency = 0.5
        await client.list(THINGS)
        assert clock.monotonic() == 0.5
        client.faults.cut = True
        with pytest.raises(Unavailable):
            await client.list(THINGS)
        assert clock.monotonic() == 11

    in_fake_time(scenario)


def test_lagging_watches_deliver_everything_late_and_in_order() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        client = FakeClient(server)
        client.faults.lag = 5
        arrived: list[tuple[str, float]] = []

        async def watch() -> None:
            since = server.list(THINGS).resource_version
            async with aclosing(client.watch(THINGS, resource_version=since)) as events:
                async for event in events:
                    name = event.object["metadata"].get("name", "bookmark")
                    arrived.append((name, round(clock.monotonic(), 2)))

        watching = asyncio.create_task(watch())
        await settle()
        for name in "abc":
            server.create(THINGS, thing(name))
            await clock.sleep(1)
        await clock.sleep(10)
        watching.cancel()
        assert arrived == [("a", 5.0), ("b", 6.0), ("c", 7.0)]

    in_fake_time(scenario)


# --- processes ---


def test_a_killed_process_writes_nothing_more_not_even_while_dying() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        process = Process("victim", server)

        async def program() -> None:
            try:
                await process.client.create(THINGS, thing("alive"))
                await process.clock.sleep(100)
            finally:
                await process.client.create(THINGS, thing("last-words"))

        task = process.spawn(program())
        await clock.sleep(1)
        await process.kill()
        assert task.cancelled()
        assert names(server) == ["alive"]

    in_fake_time(scenario)


@pytest.mark.parametrize(("when", "left"), [("before", []), ("after", ["t"])])
def test_a_process_may_die_around_any_write(when: str, left: list[str]) -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        process = Process("victim", server)
        die = run(process.die)
        if when == "before":
            process.client.faults.on(the_write(1), before=die)
        else:
            process.client.faults.on(the_write(1), after=die)
        survived: list[str] = []

        async def program() -> None:
            await process.client.create(THINGS, thing("t"))
            survived.append("the write")

        process.spawn(program())
        await clock.sleep(1)
        assert (names(server), survived) == (left, [])

    in_fake_time(scenario)


def test_a_paused_process_stands_still_and_goes_on() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        process = Process("sleeper", server)
        ticks: list[float] = []

        async def program() -> None:
            while True:
                await process.clock.sleep(1)
                await process.client.list(THINGS)
                ticks.append(clock.monotonic())

        process.spawn(program())
        await clock.sleep(2.5)
        process.pause()
        assert process.paused
        await clock.sleep(10)
        process.resume()
        await clock.sleep(1.1)
        await process.kill()
        assert ticks == pytest.approx([1, 2, 12.5, 13.5])

    in_fake_time(scenario)


def test_a_paused_process_hears_its_watch_afterwards() -> None:
    async def scenario(clock: FakeClock) -> None:
        server = a_server(clock)
        process = Process("sleeper", server)
        heard: list[tuple[str, float]] = []

        async def program() -> None:
            since = server.list(THINGS).resource_version
            async with aclosing(process.client.watch(THINGS, resource_version=since)) as events:
                async for event in events:
                    at = clock.monotonic()
                    heard.append((event.object["metadata"]["name"], at))

        process.spawn(program())
        await clock.sleep(1)
        process.pause()
        server.create(THINGS, thing("t"))
        await clock.sleep(10)
        process.resume()
        await clock.sleep(1)
        await process.kill()
        assert heard == [("t", 11)]

    in_fake_time(scenario)
