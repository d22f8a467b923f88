"""What a pass does beside planning: waits, wakes, tells, counts, and survives one job's trouble."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from kit.clock import FakeClock, in_fake_time, settle
from kit.fakeapi import Call, calls, fail
from kit.jobs import a_job_manifest
from kit.simcluster.replicas import Replica
from kit.simcluster.world import World
from spot_operator.app import Operator
from spot_operator.control.errors import Forbidden, Unavailable
from spot_operator.control.rate import RateBudget
from spot_operator.control.resource import EVENTS, NODES, PODS
from spot_operator.domain.observed.snapshot import JobKey, Snapshot
from spot_operator.domain.plan import plan
from spot_operator.observability.health import alive
from spot_operator.reconcile import loop
from spot_operator.reconcile.api_feedback import Feedback
from spot_operator.reconcile.kinds import JOBS, POLICIES

Json = dict[str, Any]


def in_a_world(play: Callable[[World], Awaitable[None]], **make: Any) -> None:
    async def scenario(clock: FakeClock) -> None:
        await play(await World.make(clock, **make))

    in_fake_time(scenario)


def the_operator(world: World) -> Operator:
    leader = world.replicas.leader()
    assert leader is not None
    assert leader.operator is not None
    return leader.operator


def is_status_write(call: Call) -> bool:
    return call.is_write and call.resource == JOBS and call.subresource == "status"


def test_a_status_write_of_unknown_outcome_is_looked_up_and_not_repeated() -> None:
    async def play(world: World) -> None:
        def unlucky(replica: Replica) -> None:
            faults = replica.process.client.faults
            faults.on(is_status_write, after=fail(Unavailable("reset by peer")), times=1)
            faults.lag = 3.0

        world.replicas.all[0].on_start = unlucky
        world.apply(a_job_manifest())
        await world.until(lambda: world.status().get("state") == "Created", "pods")
        written = the_operator(world).metrics.writes
        lost = written.labels("replace_status", JOBS.plural, "ServiceUnavailable")
        conflicts = written.labels("replace_status", JOBS.plural, "Conflict")
        assert lost._value.get() == 1
        assert conflicts._value.get() == 0
        assert world.status()["attempt"] == 1

    in_a_world(play)


class Spent:
    """A budget that has nothing left."""

    def take(self) -> float:
        return 5.0


def test_without_budget_figures_wait_and_transitions_do_not() -> None:
    async def play(world: World) -> None:
        world.plan.steps = 200
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 25, "step 25")
        reconciler = the_operator(world)._reconciler
        real, reconciler.figures = reconciler.figures, Spent()  # type: ignore[assignment]
        known = world.status()["progress"]["step"]
        await world.until(lambda: world.step() >= 150, "step 150")
        assert world.status()["progress"]["step"] == known
        world.edit(suspend=True)
        await world.until(lambda: world.status()["state"] == "Stopping", "stop", limit=5)
        world.edit(suspend=False)
        reconciler.figures = real
        await world.until_finished()
        assert world.status()["progress"]["step"] == 200

    in_a_world(play)


def test_many_jobs_start_at_once() -> None:
    async def play(world: World) -> None:
        for number in range(60):
            world.apply(a_job_manifest(f"job-{number}"))
        await world.until(lambda: len(world.pods()) == 60, "pods of every job", limit=20)

    in_a_world(play, spot_nodes=0)


def test_a_webhook_that_lets_every_job_wait_does_not_end_the_leader() -> None:
    """Another process would find the same webhook, and know of nothing that has lasted."""

    async def play(world: World) -> None:
        async def wait(_: Call) -> None:
            await world.clock.sleep(30)
            raise Unavailable("failed calling webhook: deadline exceeded", status=500)

        await world.until(lambda: world.replicas.leader() is not None, "a leader")
        leader, first = world.replicas.leader(), the_operator(world)
        assert leader is not None
        leader.process.client.faults.on(calls("create", PODS), before=wait)
        for number in range(120):
            world.apply(a_job_manifest(f"job-{number}"))
        for _ in range(90):
            await world.clock.sleep(10)
            assert alive(first.facts()).good
        assert first.queue.oldest_age() > 100, "they do wait"

    in_a_world(play)


def test_a_refusal_that_never_reads_the_same_is_not_asked_for_all_the_time() -> None:
    """A webhook names the request; a quota counts what others use."""

    async def play(world: World) -> None:
        asked: list[Call] = []
        written: list[Call] = []

        async def refuse(call: Call) -> None:
            asked.append(call)
            number = len(asked)
            raise Forbidden(f"denied at 12:00:{number:02} (request 7f3a-{number:04x})")

        async def note(call: Call) -> None:
            written.append(call)

        await world.until(lambda: world.replicas.leader() is not None, "a leader")
        leader = world.replicas.leader()
        assert leader is not None
        leader.process.client.faults.on(calls("create", PODS), before=refuse)
        leader.process.client.faults.on(is_status_write, before=note)
        world.apply(a_job_manifest())
        await world.clock.sleep(1200)
        assert 5 < len(asked) < 60
        assert len(written) < 10

    in_a_world(play)


def test_a_refusal_of_another_meaning_is_told_anew() -> None:
    finding = Feedback("uid")

    def told(message: str) -> str:
        finding.refused("create pod p", Forbidden(message), creates="p")
        assert finding.creation is not None
        return finding.creation.message

    first = "exceeded quota: q, used: requests.cpu=9, limited: requests.cpu=10"
    assert told(first) == first
    assert told(first.replace("9", "8")) == first
    assert told(first.replace("cpu", "memory")) == first.replace("cpu", "memory")


@pytest.mark.parametrize(("burst", "rate"), [(10, 5.0), (1, 0.5)])
def test_a_rate_budget_gives_its_burst_and_then_its_rate(burst: int, rate: float) -> None:
    async def scenario(clock: FakeClock) -> None:
        budget = RateBudget(clock, rate, burst)
        assert [budget.take() for _ in range(burst)] == [0.0] * burst
        wait = budget.take()
        assert wait == pytest.approx(1 / rate)
        await clock.sleep(wait / 2)
        assert budget.take() == pytest.approx(wait / 2)
        await clock.sleep(wait / 2)
        assert budget.take() == 0.0
        await clock.sleep(3600)
        taken = sum(budget.take() == 0.0 for _ in range(burst * 2))
        assert taken == burst

    in_fake_time(scenario)


def test_one_jobs_bug_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(snapshot: Snapshot) -> Any:
        if snapshot.key.name == "cursed":
            raise ZeroDivisionError("a bug")
        return plan(snapshot)

    monkeypatch.setattr(loop, "plan", broken)

    async def play(world: World) -> None:
        world.plan.steps = 5
        world.apply(a_job_manifest("cursed"))
        world.apply(a_job_manifest("digits"))
        await world.until_finished()
        assert world.condition("Succeeded")["reason"] == "Completed"
        failed = the_operator(world).metrics.passes_failed.labels("ZeroDivisionError")
        assert 3 <= failed._value.get() <= 20, "tried again, ever more slowly"

    in_a_world(play)


def test_a_status_that_somebody_else_wrote_is_not_acted_on() -> None:
    async def play(world: World) -> None:
        world.plan.steps = 100
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 5, "step 5")
        job = world.job()
        theirs = {**job["status"], "state": "Dancing"}
        world.server.replace_status(JOBS, {**job, "status": theirs})
        await world.clock.sleep(60)
        assert world.status()["state"] == "Dancing"
        assert world.events().count("UnreadableStatus") == 1
        assert list(world.pods_seen) == ["digits-1-0"]
        failures = the_operator(world).metrics.passes_failed.labels("UnreadableStatus")
        assert failures._value.get() > 0
        told = [one for one in world.server.objects(EVENTS) if one["reason"] == "UnreadableStatus"]
        assert len(told) == 1
        assert "Do not remove the status" in told[0]["note"]
        world.server.replace_status(JOBS, {**world.job(), "status": job["status"]})
        await world.until_finished()
        assert world.condition("Succeeded")["reason"] == "Completed"

    in_a_world(play)


def test_a_job_created_anew_under_its_name_is_another_job() -> None:
    async def play(world: World) -> None:
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 15, "step 15")
        world.delete()
        world.apply(a_job_manifest())
        await world.until_finished()
        assert world.condition("Succeeded")["reason"] == "Completed"
        assert [len(lineage.complete) for lineage in world.lineages.values()] == [0, 1]
        await world.until(lambda: not world.pods(), "end of the pods")

    in_a_world(play)


def test_a_new_policy_reaches_the_jobs_that_wait_for_one() -> None:
    async def play(world: World) -> None:
        world.server.delete(POLICIES, "default")
        world.apply(a_job_manifest(policyName="gold"))
        await world.until(
            lambda: world.condition("Succeeded").get("reason") == "PolicyNotFound", "word of it"
        )
        assert world.pods() == []
        spec = {"allowedNamespaces": ["research"]}
        world.server.create(POLICIES, {"metadata": {"name": "gold"}, "spec": spec})
        await world.until(lambda: bool(world.pods()), "pod", limit=5)

    in_a_world(play)


def test_a_taint_wakes_the_job_on_the_node_and_a_heartbeat_does_not() -> None:
    async def play(world: World) -> None:
        world.plan.steps = 500
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 5, "step 5")
        node, operator = world.node_of(1), the_operator(world)
        await world.clock.sleep(2)
        woken: list[JobKey] = []
        add = operator.queue.add

        def noted(key: JobKey, *rest: Any) -> None:
            woken.append(key)
            add(key, *rest)

        operator.queue.add = noted  # type: ignore[method-assign, assignment]
        beat = {"status": {"conditions": [heartbeat(world, node.name)]}}
        world.server.patch(NODES, node.name, beat, subresource="status")
        await settle()
        assert woken == []
        taints = [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]
        world.server.patch(NODES, node.name, {"spec": {"taints": taints}})
        await settle()
        assert set(woken) == {JobKey("research", "digits")}
        await world.until(
            lambda: "spottraining.dev/notice" in world.pods()[0]["metadata"]["annotations"],
            "notice on the pod",
            limit=5,
        )

    in_a_world(play)


def heartbeat(world: World, name: str) -> Json:
    (ready,) = world.server.get(NODES, name)["status"]["conditions"]
    return {**ready, "lastHeartbeatTime": "2026-01-01T00:09:00Z"}


def test_nothing_is_kept_of_jobs_that_are_gone() -> None:
    async def play(world: World) -> None:
        for number in range(3):
            world.apply(a_job_manifest(f"job-{number}"))
        await world.until(lambda: len(world.steps) > 30, "steps of the jobs")
        for number in range(3):
            world.server.delete(JOBS, f"job-{number}", namespace="research")
        await world.until(lambda: not world.server.objects(PODS), "end of the pods")
        await world.clock.sleep(10)
        operator = the_operator(world)
        observer = operator._observer
        assert len(operator.book) == 0
        assert observer.tombstones._by_job == {}
        assert observer.findings._known == {}
        assert operator._reconciler.actor.expecting._expectations._open == {}
        assert observer._sights._known == {}
        assert observer._views.jobs._known == {}
        assert observer._views.pods._known == {}

    in_a_world(play)


def test_a_replica_that_ends_leaves_no_task_behind() -> None:
    async def play(world: World) -> None:
        world.apply(a_job_manifest())
        await world.until(lambda: world.step() >= 5, "step 5")
        replica = world.replicas.all[0]
        replica.wanted = False
        before = {task.get_name() for task in asyncio.all_tasks()}
        replica.end_gracefully()
        await world.until(lambda: replica.operator is None, "end of the replica", limit=10)
        left = {task.get_name() for task in asyncio.all_tasks()}
        own = {"lease", "caches", "work", "reconciler", "events", "certificate", "worker 0"}
        assert own <= before | {"certificate"}
        assert not own & left
        assert not replica.faults

    in_a_world(play)
