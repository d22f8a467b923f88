"""Each action on the fake API server: done once, harmless twice, and what its refusals teach."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from kit.clock import FakeClock, FakeEntropy, in_fake_time
from kit.fakeapi import FakeApiServer, FakeClient, calls, custom, fail, run
from kit.jobs import a_job_manifest
from spot_operator.api import names
from spot_operator.api.events import Event
from spot_operator.control.errors import (
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unavailable,
    from_status,
)
from spot_operator.control.resource import NAMESPACES, PODS, Resource
from spot_operator.domain.actions import (
    Action,
    AnnotatePod,
    CreatePod,
    CreatePurge,
    DeleteJob,
    DeletePod,
    Grant,
    Hold,
    Note,
)
from spot_operator.domain.observed.snapshot import JobKey, JobView
from spot_operator.reconcile.act import Actor
from spot_operator.reconcile.api_feedback import NAMESPACE_BELIEVED, TRIES, ApiFeedback, Feedback
from spot_operator.reconcile.caches import Caches
from spot_operator.reconcile.expecting import TIMEOUT_SECONDS, Expecting
from spot_operator.reconcile.kinds import JOBS, POLICIES
from spot_operator.reconcile.views import job_view
from spot_operator.render.settings import RenderSettings

Json = dict[str, Any]

KEY = JobKey("research", "digits")
CREATE = CreatePod(attempt=1, rank=0, grant=Grant(1, None))
SETTINGS = RenderSettings(sidecar_image="sidecar:1", reports_url="https://r:8443", ca_bundle="ca")


class Rig:
    """An actor whose caches follow the server unless told to lag."""

    def __init__(self, clock: FakeClock) -> None:
        entropy = FakeEntropy(1)
        self.clock = clock
        self.server = FakeApiServer(clock, entropy, namespaces=("research",))
        self.server.register(custom(JOBS))
        self.server.register(custom(POLICIES))
        self.client = FakeClient(self.server, clock=clock)
        self.watching = FakeClient(self.server, clock=clock)
        self.caches = Caches(self.watching, clock, entropy)
        self.findings = ApiFeedback(clock)
        self.told: list[Note] = []
        self.expecting = Expecting(self.caches, clock)
        self.actor = Actor(
            self.client,
            self.caches,
            self.expecting,
            self.findings,
            entropy,
            lambda: SETTINGS,
            lambda _job, note: self.told.append(note),
        )
        self.job: JobView = job_view(self.server.create(JOBS, a_job_manifest()).object)

    async def act(self, *actions: Any) -> bool:
        return await self.actor.act(KEY, self.job, actions)

    @property
    def finding(self) -> Feedback:
        return self.findings.about(KEY, self.job.uid)

    def pods(self) -> list[Json]:
        return self.server.objects(PODS)

    def pod(self) -> Json:
        (pod,) = self.pods()
        return pod


def in_a_rig(play: Callable[[Rig], Awaitable[None]]) -> None:
    async def scenario(clock: FakeClock) -> None:
        rig = Rig(clock)
        task = asyncio.get_running_loop().create_task(rig.caches.run())
        await rig.caches.wait_synced()
        await play(rig)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    in_fake_time(scenario)


async def expect_seen(rig: Rig, within: float) -> None:
    """The job may be looked at again after so many seconds, and not before."""
    assert rig.expecting.expires_in(KEY) is not None
    await rig.clock.sleep(within)
    assert rig.expecting.expires_in(KEY) is None


def test_a_pod_is_created_and_awaited() -> None:
    async def play(rig: Rig) -> None:
        rig.watching.faults.lag = 5.0
        await rig.act(CREATE)
        assert rig.pod()["metadata"]["name"] == "digits-1-0"
        await expect_seen(rig, 6.0)

    in_a_rig(play)


def test_creating_the_same_pod_twice_adopts_it() -> None:
    async def play(rig: Rig) -> None:
        rig.watching.faults.lag = 5.0
        await rig.act(CREATE)
        await rig.act(CREATE)
        assert len(rig.pods()) == 1
        assert rig.finding.foreign == set()
        await expect_seen(rig, 6.0)
        await rig.act(CREATE)
        assert rig.expecting.expires_in(KEY) is None, "it is in the cache already"

    in_a_rig(play)


def test_a_pod_of_ours_that_lost_its_labels_is_adopted_and_gets_them_back() -> None:
    async def play(rig: Rig) -> None:
        rig.watching.faults.lag = 1.0
        await rig.act(CREATE)
        labels = rig.pod()["metadata"]["labels"]
        none = dict.fromkeys(labels)
        rig.server.patch(PODS, "digits-1-0", {"metadata": {"labels": none}}, namespace="research")
        await rig.act(CREATE)
        assert rig.finding.foreign == set()
        assert rig.pod()["metadata"]["labels"] == labels

    in_a_rig(play)


@pytest.mark.parametrize(
    "change",
    [
        {"ownerReferences": []},
        {"labels": {"spottraining.dev/attempt": "2"}},
        {"ownerReferences": [{"kind": "Job", "name": "x", "uid": "other", "controller": True}]},
    ],
    ids=["nobody's", "another attempt's", "another owner's"],
)
def test_a_name_that_is_taken_is_noted(change: Json) -> None:
    async def play(rig: Rig) -> None:
        meta = {"name": "digits-1-0", "namespace": "research", **change}
        rig.server.create(PODS, {"metadata": meta, "spec": {"containers": []}})
        assert await rig.act(CREATE), "another name is to be taken at once"
        assert rig.finding.foreign == {"digits-1-0"}
        assert len(rig.pods()) == 1
        assert rig.expecting.expires_in(KEY) is None, "no news will come of it"

    in_a_rig(play)


@pytest.mark.parametrize(
    ("error", "code"),
    [(Forbidden("exceeded quota: team"), 403), (Invalid("spec.containers: Required"), 422)],
)
def test_a_refusal_is_noted_raised_and_cleared_by_success(error: Exception, code: int) -> None:
    async def play(rig: Rig) -> None:
        def refuse(_old: Json | None, _new: Json) -> list[str]:
            raise error

        rig.server.admission[PODS] = [refuse]
        with pytest.raises(type(error)):
            await rig.act(CREATE)
        refusal = rig.finding.creation
        assert refusal is not None
        assert (refusal.pod, refusal.code) == ("digits-1-0", code)
        assert rig.expecting.expires_in(KEY) is None, "nothing was created"
        rig.server.admission.clear()
        await rig.act(CREATE)
        assert rig.finding.creation is None

    in_a_rig(play)


def test_a_namespace_that_goes_is_noted_and_no_error() -> None:
    async def play(rig: Rig) -> None:
        rig.server.delete(NAMESPACES, "research")
        assert await rig.act(CREATE), "the job is to say so"
        assert rig.findings.namespace_terminating(KEY, rig.job.uid)
        await rig.clock.sleep(NAMESPACE_BELIEVED)
        assert not rig.findings.namespace_terminating(KEY, rig.job.uid), "it is asked for again"

    in_a_rig(play)


def test_what_the_server_warns_of_is_passed_on() -> None:
    async def play(rig: Rig) -> None:
        rig.server.admission[PODS] = [lambda _old, _new: ['unknown field "spec.comet"']]
        await rig.act(CREATE)
        assert [note.message for note in rig.told] == ['unknown field "spec.comet"']
        assert [note.reason for note in rig.told] == [Event.POD_WARNING]

    in_a_rig(play)


@pytest.mark.parametrize(
    ("part", "added"),
    [
        ("spec.containers[0].image", ""),
        ("spec.containers[0].env[0].name", ""),
        ("spec.securityContext.runAsUser", ""),
        ("spec.containers[0].env[99].name", "spec.containers[0].env[99]"),
        ("spec.containers[7].image", "spec.containers[7]"),
        ("spec.topologySpreadConstraints[0].maxSkew", "spec.topologySpreadConstraints[0]"),
    ],
)
def test_a_refused_part_that_was_not_posted_is_known_as_added(part: str, added: str) -> None:
    async def scenario(clock: FakeClock) -> None:
        rig = Rig(clock)
        refused = Invalid(f'Pod "digits-1-0" is invalid: {part}: Required value')
        rig.client.faults.on(calls("create", PODS), before=fail(refused))
        with pytest.raises(Invalid):
            await rig.act(CREATE)
        refusal = rig.finding.creation
        assert refusal is not None
        assert refusal.added == added

    in_fake_time(scenario)


def test_one_refused_write_stops_no_other() -> None:
    async def play(rig: Rig) -> None:
        rig.client.faults.on(calls("delete"), before=fail(Unavailable("503")))
        rig.client.faults.on(calls("patch"), before=fail(Forbidden("no")))
        annotate = AnnotatePod("digits-1-0", "u", {names.ANNOTATION_NOTICE: "{}"})
        with pytest.raises(Unavailable):
            await rig.act(DeletePod("digits-9-0", "u", None, "over"), annotate, CREATE)
        assert rig.pod()["metadata"]["name"] == "digits-1-0"
        assert set(rig.finding.refusals) == {"delete pod digits-9-0", "annotate pod digits-1-0"}

    in_a_rig(play)


def test_after_a_pod_that_cannot_be_created_its_gang_mates_are_not_tried() -> None:
    async def play(rig: Rig) -> None:
        rig.client.faults.on(calls("create", name="digits-1-0"), before=fail(Forbidden("quota")))
        with pytest.raises(Forbidden):
            await rig.act(CREATE, CreatePod(attempt=1, rank=1, grant=Grant(1, None)))
        assert rig.pods() == []

    in_a_rig(play)


def answers() -> list[ApiError]:
    """What an API server, a proxy before it or a webhook behind it may answer to a write."""
    codes = (400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 422, 429, 500, 502, 503, 504)
    taken = {"reason": "AlreadyExists", "message": "taken, says the webhook"}
    return [
        Unavailable("POST: the connection broke", status=0),
        from_status(409, taken),
        *(from_status(code, {"message": f"the answer was {code}"}) for code in codes),
    ]


WRITES: dict[str, tuple[str, Resource, Callable[[str], Action]]] = {
    "create": ("create", PODS, lambda _uid: CREATE),
    "purge": ("create", PODS, lambda _uid: CreatePurge(1)),
    "delete": ("delete", PODS, lambda uid: DeletePod("digits-9-0", uid, None, "over")),
    "annotate": (
        "patch",
        PODS,
        lambda uid: AnnotatePod("digits-9-0", uid, {names.ANNOTATION_NOTICE: "{}"}),
    ),
    "hold": ("patch", JOBS, lambda _uid: Hold(wanted=True)),
    "end": ("delete", JOBS, lambda _uid: DeleteJob("uid", "1")),
}


@pytest.mark.parametrize("answer", answers(), ids=lambda one: f"{one.status} {one.reason}")
@pytest.mark.parametrize("write", WRITES)
def test_every_refusal_that_lasts_is_told_once_until_a_success(
    write: str, answer: ApiError
) -> None:
    async def play(rig: Rig) -> None:
        verb, kind, make = WRITES[write]
        meta = {"name": "digits-9-0", "namespace": "research"}
        pod = {"metadata": meta, "spec": {"containers": []}}
        uid = rig.server.create(PODS, pod).object["metadata"]["uid"]
        action = DeleteJob(rig.job.uid, rig.job.resource_version) if write == "end" else make(uid)
        rig.client.faults.on(calls(verb, kind), before=fail(answer))
        for _ in range(TRIES):
            with pytest.raises(ApiError):
                await rig.act(action)
        (refusal,) = rig.finding.refusals.values()
        assert refusal.told
        assert answer.reason == "AlreadyExists" or refusal.message == answer.message
        # The condition that says why an attempt has no pod brings the event along.
        assert len(rig.told) == (0 if write == "create" else 1)
        with pytest.raises(ApiError):
            await rig.act(action)
        assert len(rig.told) <= 1, "once is enough"
        rig.client.faults.clear()
        assert await rig.act(action), "the job is to say that it is over"
        assert rig.finding.refusals == {}

    in_a_rig(play)


def test_a_refusal_of_what_nobody_asks_for_any_more_is_forgotten() -> None:
    async def play(rig: Rig) -> None:
        rig.client.faults.on(calls("delete"), before=fail(Forbidden("no")))
        uid = (await a_running_pod(rig))["metadata"]["uid"]
        with pytest.raises(Forbidden):
            await rig.act(DeletePod("digits-1-0", uid, None, "over"))
        assert [one.what for one in rig.finding.others] == ["delete pod digits-1-0"]
        assert await rig.act()
        assert rig.finding.others == ()

    in_a_rig(play)


def test_what_was_learned_of_a_former_job_says_nothing_about_this_one() -> None:
    async def play(rig: Rig) -> None:
        rig.client.faults.on(calls("create"), before=fail(Forbidden("quota")), times=1)
        with pytest.raises(Forbidden):
            await rig.act(CREATE)
        rig.findings.namespace_terminates(KEY, rig.job.uid)
        rig.finding.foreign.add("digits-1-0")
        assert rig.findings.about(KEY, "another uid").foreign == set()
        assert rig.findings.about(KEY, "another uid").creation is None
        assert not rig.findings.namespace_terminating(KEY, "another uid")
        rig.findings.note(KEY, "another uid")
        assert rig.finding.foreign == set()

    in_a_rig(play)


def test_a_404_that_no_store_gave_is_not_believed() -> None:
    """controller-runtime passes on the status of a webhook's own failed Get as it is."""

    async def play(rig: Rig) -> None:
        answer = NotFound('admission webhook "x.example" denied the request: configmaps "x"')
        rig.client.faults.on(calls("create"), before=fail(answer))
        with pytest.raises(NotFound):
            await rig.act(CREATE)
        assert not rig.findings.namespace_terminating(KEY, rig.job.uid)

    in_a_rig(play)


def test_a_deletion_of_unknown_outcome_holds_nothing_up() -> None:
    async def play(rig: Rig) -> None:
        uid = (await a_running_pod(rig))["metadata"]["uid"]
        rig.client.faults.on(calls("delete"), before=fail(Unavailable("reset")), times=1)
        with pytest.raises(Unavailable):
            await rig.act(DeletePod("digits-1-0", uid, None, "over"))
        assert rig.expecting.expires_in(KEY) is None

    in_a_rig(play)


@pytest.mark.parametrize(
    ("message", "waits"),
    [('failed calling webhook "mpod.kb.io": connection refused', False), ("reset by peer", True)],
)
def test_a_pod_is_waited_for_unless_the_answer_proves_that_there_is_none(
    message: str, waits: bool
) -> None:
    async def play(rig: Rig) -> None:
        rig.client.faults.on(calls("create"), before=fail(Unavailable(message)), times=1)
        with pytest.raises(Unavailable):
            await rig.act(CREATE)
        assert (rig.expecting.expires_in(KEY) is not None) is waits

    in_a_rig(play)


async def a_running_pod(rig: Rig) -> Json:
    await rig.act(CREATE)
    rig.server.bind("research", "digits-1-0", "spot-a")
    await rig.clock.sleep(1)
    return rig.pod()


def test_a_graceful_deletion_leaves_the_rest_to_the_kubelet() -> None:
    async def play(rig: Rig) -> None:
        pod = await a_running_pod(rig)
        rig.watching.faults.lag = 5.0
        await rig.act(DeletePod("digits-1-0", pod["metadata"]["uid"], None, "over"))
        assert rig.pod()["metadata"]["deletionGracePeriodSeconds"] == 120
        await expect_seen(rig, 6.0)

    in_a_rig(play)


def test_a_forced_deletion_is_over_when_the_pod_is_gone() -> None:
    async def play(rig: Rig) -> None:
        uid = (await a_running_pod(rig))["metadata"]["uid"]
        await rig.act(DeletePod("digits-1-0", uid, None, "over"))
        await rig.clock.sleep(1)
        rig.watching.faults.lag = 5.0
        await rig.act(DeletePod("digits-1-0", uid, 0, "its node is fenced"))
        assert rig.pods() == []
        await expect_seen(rig, 6.0)

    in_a_rig(play)


@pytest.mark.parametrize("uid", ["another pod's", None], ids=["another's", "gone"])
def test_a_pod_that_is_not_the_one_meant_is_spared(uid: str | None) -> None:
    async def play(rig: Rig) -> None:
        if uid:
            await rig.act(CREATE)
        before = rig.pods()
        await rig.act(DeletePod("digits-1-0", "meant", None, "over"))
        await rig.act(AnnotatePod("digits-1-0", "meant", {"spottraining.dev/notice": "{}"}))
        assert rig.pods() == before

    in_a_rig(play)


def test_an_annotation_is_written_and_awaited() -> None:
    async def play(rig: Rig) -> None:
        uid = (await a_running_pod(rig))["metadata"]["uid"]
        rig.watching.faults.lag = 5.0
        await rig.act(AnnotatePod("digits-1-0", uid, {"spottraining.dev/notice": "{}"}))
        assert rig.pod()["metadata"]["annotations"]["spottraining.dev/notice"] == "{}"
        await expect_seen(rig, 6.0)

    in_a_rig(play)


def test_news_that_never_comes_is_waited_for_a_minute_at_most() -> None:
    async def play(rig: Rig) -> None:
        rig.watching.faults.lose(lambda resource, _: resource == PODS)
        await rig.act(CREATE)
        await expect_seen(rig, TIMEOUT_SECONDS)

    in_a_rig(play)


def test_the_job_is_deleted_only_if_it_is_the_one_meant() -> None:
    async def play(rig: Rig) -> None:
        await rig.act(DeleteJob("another uid", rig.job.resource_version))
        await rig.act(DeleteJob(rig.job.uid, "0"))
        assert len(rig.server.objects(JOBS)) == 1
        await rig.act(DeleteJob(rig.job.uid, rig.job.resource_version))
        await rig.act(DeleteJob(rig.job.uid, rig.job.resource_version))
        assert rig.server.objects(JOBS) == []

    in_a_rig(play)


def test_a_pod_that_vanishes_while_we_ask_whose_it_is_is_tried_again() -> None:
    async def play(rig: Rig) -> None:
        await rig.act(CREATE)

        def vanish() -> None:
            rig.server.delete(PODS, "digits-1-0", namespace="research")

        rig.client.faults.on(calls("get", PODS), before=run(vanish), times=1)
        with pytest.raises(Conflict):
            await rig.act(CREATE)
        with pytest.raises(NotFound):
            rig.server.get(PODS, "digits-1-0", "research")

    in_a_rig(play)


def finalizers(rig: Rig) -> list[str]:
    found: list[str] = rig.server.get(JOBS, "digits", "research")["metadata"].get("finalizers", [])
    return found


def test_a_job_is_held_and_let_go_beside_others_finalizers() -> None:
    async def play(rig: Rig) -> None:
        rig.watching.faults.lag = 5.0
        theirs = {"metadata": {"finalizers": ["example.com/theirs"]}}
        rig.job = job_view(rig.server.patch(JOBS, "digits", theirs, namespace="research"))
        await rig.act(Hold(wanted=True))
        assert finalizers(rig) == ["example.com/theirs", names.FINALIZER]
        await expect_seen(rig, 6.0)
        rig.job = job_view(rig.server.get(JOBS, "digits", "research"))
        await rig.act(Hold(wanted=False))
        assert finalizers(rig) == ["example.com/theirs"]

    in_a_rig(play)


def test_a_job_that_has_changed_is_looked_at_again_first() -> None:
    async def play(rig: Rig) -> None:
        theirs = {"metadata": {"finalizers": ["example.com/theirs"]}}
        rig.server.patch(JOBS, "digits", theirs, namespace="research")
        with pytest.raises(Conflict):
            await rig.act(Hold(wanted=True))
        assert finalizers(rig) == ["example.com/theirs"]

    in_a_rig(play)


def test_a_job_that_was_let_go_is_gone_and_delays_nobody() -> None:
    async def play(rig: Rig) -> None:
        await rig.act(Hold(wanted=True))
        rig.server.delete(JOBS, "digits", namespace="research")
        await rig.clock.sleep(1.0)
        rig.job = job_view(rig.server.get(JOBS, "digits", "research"))
        await rig.act(Hold(wanted=False), Hold(wanted=False))
        assert rig.server.objects(JOBS) == []
        assert rig.expecting.expires_in(KEY) is None

    in_a_rig(play)


def test_the_pod_that_purges_is_created_once() -> None:
    async def play(rig: Rig) -> None:
        await rig.act(CreatePurge(1))
        await rig.act(CreatePurge(1))
        assert [pod["metadata"]["name"] for pod in rig.pods()] == ["digits-purge-1"]
        assert rig.finding.foreign == set()

    in_a_rig(play)


def test_a_purge_that_cannot_be_created_teaches_why() -> None:
    async def play(rig: Rig) -> None:
        rig.client.faults.on(calls("create", PODS), before=fail(Forbidden("exceeded quota")))
        with pytest.raises(Forbidden):
            await rig.act(CreatePurge(1))
        refusal = rig.finding.creation
        assert refusal is not None
        assert refusal.pod == "digits-purge-1"

    in_a_rig(play)
