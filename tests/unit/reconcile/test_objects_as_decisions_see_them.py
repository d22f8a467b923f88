"""From what the API server sends to views: trimmed, read, and robust against strangers' hands."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from kit.clock import FakeClock, in_fake_time
from kit.jobs import a_job_manifest
from spot_operator.api import names
from spot_operator.control.store import Change
from spot_operator.domain.observed.snapshot import ContainerView
from spot_operator.domain.state.ledger import NodeIdentity, Notice
from spot_operator.reconcile.lease_ages import LeaseAges
from spot_operator.reconcile.pod_view import pod_view
from spot_operator.reconcile.trim import trim_lease, trim_node, trim_pod
from spot_operator.reconcile.views import job_view, node_view, policy_view

Json = dict[str, Any]

NOTICE = {
    "kind": "Preempt",
    "deadline": "2026-01-01T00:02:00Z",
    "source": "operator",
    "observedAt": "2026-01-01T00:00:00Z",
    "raw": "taint x",
}
IDENTITY = {"name": "spot-a", "uid": "u", "bootID": "b"}


def a_pod(**parts: Json) -> Json:
    """A pod as the server sends it; parts are merged into metadata, spec and status."""
    pod: Json = {
        "metadata": {
            "name": "digits-3-0",
            "namespace": "research",
            "uid": "pod-uid",
            "resourceVersion": "9",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{"manager": "x"}],
            "labels": {
                "spottraining.dev/job": "digits",
                "spottraining.dev/job-uid": "job-uid",
                "spottraining.dev/attempt": "3",
                "spottraining.dev/rank": "0",
            },
            "annotations": {
                "spottraining.dev/grant": '{"attempt":3}',
                "spottraining.dev/ca": "PEM",
                "note": "theirs",
            },
            "ownerReferences": [
                {"kind": "SpotTrainingJob", "name": "digits", "uid": "job-uid", "controller": True}
            ],
        },
        "spec": {
            "nodeName": "spot-a",
            "terminationGracePeriodSeconds": 120,
            "initContainers": [{"name": "spot-sidecar", "image": "s"}, {"name": "fetch"}],
            "containers": [{"name": "trainer", "image": "i"}, {"name": "logs"}],
        },
        "status": {"phase": "Running"},
    }
    for part, change in parts.items():
        pod[part] = {**pod[part], **change}
    return pod


def seen(**parts: Json) -> Any:
    return pod_view(trim_pod(a_pod(**parts)))


def test_a_pod_as_created() -> None:
    view = seen()
    assert (view.name, view.uid, view.attempt, view.rank) == ("digits-3-0", "pod-uid", 3, 0)
    assert (view.owner_uid, view.node_name, view.grace_seconds) == ("job-uid", "spot-a", 120)
    assert view.created_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert view.trainer == ContainerView("trainer")
    assert view.sidecar == ContainerView("spot-sidecar", is_init=True)
    assert [(one.name, one.is_init) for one in view.others] == [("fetch", True), ("logs", False)]
    assert (view.notice, view.node_identity, view.grant) == (None, None, '{"attempt":3}')


def test_a_cache_keeps_no_bookkeeping_and_the_certificates_of_all_pods_once() -> None:
    kept = json.dumps(trim_pod(a_pod()))
    assert "managedFields" not in kept
    assert "theirs" not in kept
    bundles = [seen(metadata={"annotations": {names.ANNOTATION_CA: "PE" + end}}) for end in "MM"]
    assert bundles[0].trusts == "PEM"
    assert bundles[0].trusts is bundles[1].trusts


def test_the_states_of_containers() -> None:
    view = seen(
        status={
            "phase": "Failed",
            "containerStatuses": [
                {
                    "name": "trainer",
                    "restartCount": 0,
                    "state": {
                        "terminated": {
                            "exitCode": 137,
                            "reason": "OOMKilled",
                            "startedAt": "2026-01-01T00:00:05Z",
                            "finishedAt": "2026-01-01T00:01:00Z",
                        }
                    },
                },
                {"name": "logs", "state": {"running": {"startedAt": "2026-01-01T00:00:05Z"}}},
            ],
            "initContainerStatuses": [
                {
                    "name": "spot-sidecar",
                    "restartCount": 2,
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                    "lastState": {"terminated": {"message": '{"version":1}', "exitCode": 1}},
                }
            ],
        }
    )
    assert view.terminal
    assert (view.trainer.exit_code, view.trainer.reason) == (137, "OOMKilled")
    assert view.trainer.started
    assert view.trainer.finished_at == datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    assert (view.sidecar.state, view.sidecar.reason) == ("waiting", "CrashLoopBackOff")
    assert (view.sidecar.restarts, view.sidecar.last_message) == (2, '{"version":1}')
    assert {one.name: one.state for one in view.others} == {"fetch": None, "logs": "running"}


@pytest.mark.parametrize(
    ("policy", "status", "holds"),
    [
        ({}, {"state": {"running": {}}}, True),
        ({}, {"state": {"running": {}}, "started": False}, True),
        ({}, {"state": {"terminated": {"exitCode": 0}}}, False),
        ({}, {"state": {"waiting": {"reason": "PodInitializing"}}}, False),
        ({"restartPolicy": "Always"}, {"state": {"running": {}}, "started": False}, True),
        ({"restartPolicy": "Always"}, {"state": {"running": {}}, "started": True}, False),
        ({"restartPolicy": "Always"}, {"state": {"running": {}}}, False),
        ({"restartPolicy": "Never"}, {"state": {"running": {}}}, True),
    ],
)
def test_an_init_container_that_holds_the_trainer_back(
    policy: Json, status: Json, *, holds: bool
) -> None:
    pod = a_pod(status={"initContainerStatuses": [{"name": "fetch", **status}]})
    pod["spec"]["initContainers"][1] |= policy
    fetch = next(one for one in pod_view(trim_pod(pod)).others if one.name == "fetch")
    assert fetch.holds is holds


def test_no_other_container_holds_the_trainer_back() -> None:
    logs = {"name": "logs", "state": {"running": {}}, "started": False}
    view = seen(status={"containerStatuses": [logs]})
    assert not any(one.holds for one in view.others)


def test_the_only_container_is_the_trainer() -> None:
    status = {"containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 3}}}]}
    view = seen(spec={"containers": [{"name": "main"}]}, status=status)
    assert (view.trainer.name, view.trainer.exit_code) == ("main", 3)


def pod_of(names: list[str], noted: str | None, **labels: str) -> Json:
    """A pod in which each container exits with its number, the first with 1."""
    statuses = [
        {"name": name, "state": {"terminated": {"exitCode": number}}}
        for number, name in enumerate(names, 1)
    ]
    annotations = {} if noted is None else {"spottraining.dev/trainer": noted}
    meta = a_pod()["metadata"]
    return a_pod(
        metadata={
            **meta,
            "annotations": annotations,
            "labels": {**meta["labels"], **labels},
        },
        spec={"containers": [{"name": name} for name in names]},
        status={"containerStatuses": statuses},
    )


@pytest.mark.parametrize(
    ("there", "noted", "by_template", "trains"),
    [
        (["main"], "main", "main", "main"),
        (["main", "proxy"], "main", "main", "main"),
        (["proxy", "main"], "main", "main", "main"),
        (["proxy", "main", "trainer"], "main", "main", "main"),
        (["logs", "trainer"], "trainer", "trainer", "trainer"),
        # A job of that name with another template, which has just taken the place of the pod's:
        (["proxy", "main"], "main", "other", "main"),
        # Not noted: by an operator that did not do it yet, or dropped by a webhook.
        (["proxy", "main"], None, "main", "main"),
        (["trainer", "main"], None, "main", "main"),
        (["logs", "trainer"], None, "trainer", "trainer"),
        # Nor is the job known: by name, by place.
        (["logs", "trainer"], None, "", "trainer"),
        (["main", "proxy"], None, "", "main"),
        # Changed by hand: a container that is not there trains nothing.
        (["proxy", "main"], "absent", "main", "main"),
        (["main"], "", "", "main"),
    ],
)
def test_the_trainer_is_the_container_that_it_was_when_the_pod_was_made(
    there: list[str], noted: str | None, by_template: str, trains: str
) -> None:
    view = pod_view(trim_pod(pod_of(there, noted)), trainer=by_template)
    assert (view.trainer.name, view.trainer.exit_code) == (trains, there.index(trains) + 1)
    others = [one.name for one in view.others if not one.is_init]
    assert others == [name for name in there if name != trains]


@pytest.mark.parametrize("there", [["spot-purge", "proxy"], ["proxy", "spot-purge"]])
def test_what_purges_is_our_container_whoever_else_is_in_its_pod(there: list[str]) -> None:
    pod = pod_of(there, None, **{"spottraining.dev/purge": "1"})
    view = pod_view(trim_pod(pod), trainer="proxy")
    assert (view.trainer.name, view.purge) == ("spot-purge", 1)


def test_our_sidecar_is_found_behind_those_of_webhooks() -> None:
    inits = [{"name": "istio-init"}, {"name": "istio-proxy"}, {"name": "spot-sidecar"}]
    up = {"name": "spot-sidecar", "state": {"running": {}}}
    view = seen(spec={"initContainers": inits}, status={"initContainerStatuses": [up]})
    assert view.sidecar.state == "running"
    assert [one.name for one in view.others] == ["istio-init", "istio-proxy", "logs"]


def test_of_a_trainer_that_was_started_again_its_first_end_counts() -> None:
    """Nothing of ours lets that happen, but a webhook may change a pod's restartPolicy."""
    again = {
        "name": "trainer",
        "restartCount": 1,
        "state": {"running": {"startedAt": "2026-01-01T00:02:00Z"}},
        "lastState": {
            "terminated": {"exitCode": 7, "reason": "Error", "startedAt": "2026-01-01T00:00:05Z"}
        },
    }
    view = seen(status={"containerStatuses": [again]})
    assert (view.trainer.state, view.trainer.exit_code) == ("terminated", 7)
    assert (view.trainer.started, view.ends_by_itself) == (True, False)


def test_a_pod_being_deleted_has_the_grace_it_was_given() -> None:
    view = seen(
        metadata={
            **a_pod()["metadata"],
            "deletionTimestamp": "2026-01-01T00:05:00Z",
            "deletionGracePeriodSeconds": 0,
        }
    )
    assert (view.deletion_at, view.grace_seconds) == (datetime(2026, 1, 1, 0, 5, tzinfo=UTC), 0)


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ({}, "0/3 nodes"),
        ({"reason": "SchedulerError"}, "SchedulerError: 0/3 nodes"),
        ({"reason": "AReasonOfTomorrow", "message": ""}, "AReasonOfTomorrow"),
        ({"reason": "SchedulingGated"}, None),
        ({"status": "True", "reason": ""}, None),
        ({"type": "Ready"}, None),
    ],
)
def test_what_the_scheduler_says(condition: dict[str, str], says: str | None) -> None:
    unplaced = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes",
        "lastProbeTime": None,
    }
    assert seen(status={"conditions": [{**unplaced, **condition}]}).unschedulable == says


def annotated(**annotations: str) -> Any:
    named = {f"spottraining.dev/{name}": text for name, text in annotations.items()}
    return seen(metadata={**a_pod()["metadata"], "annotations": named})


def test_our_annotations_are_read() -> None:
    view = annotated(notice=json.dumps(NOTICE), node=json.dumps(IDENTITY))
    assert view.node_identity == NodeIdentity("spot-a", "u", "b")
    assert view.notice == Notice(
        "Preempt",
        datetime(2026, 1, 1, 0, 2, tzinfo=UTC),
        "operator",
        datetime(2026, 1, 1, tzinfo=UTC),
        "taint x",
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "{}",
        json.dumps({**NOTICE, "kind": "Earthquake"}),
        json.dumps({**NOTICE, "observedAt": "yesterday"}),
        json.dumps({**NOTICE, "observedAt": None}),
        json.dumps({**NOTICE, "deadline": 5}),
        json.dumps({**NOTICE, "deadline": "2026-01-01T00:02:00"}),
        json.dumps({**NOTICE, "kind": ["Preempt"]}),
        json.dumps({**NOTICE, "kind": {}}),
        '{"kind": "Preempt", "observedAt": 1e999}',
        "[" * 5000,
        '{"kind":' * 5000,
        "1" * 5000,
    ],
)
def test_a_notice_that_cannot_be_read_is_none(text: str) -> None:
    assert annotated(notice=text).notice is None


@pytest.mark.parametrize("place", ["source", "raw"])
def test_a_notice_can_be_stored_whatever_stands_in_it(place: str) -> None:
    found = annotated(notice=json.dumps({**NOTICE, place: "caf\udce9"})).notice
    assert found is not None
    assert getattr(found, place) == "caf?"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        json.dumps({**IDENTITY, "bootID": None}),
        json.dumps({**IDENTITY, "uid": "u" * 254}),
        '{"name":' * 5000,
    ],
)
def test_a_node_identity_that_cannot_be_read_is_none(text: str) -> None:
    assert annotated(node=text).node_identity is None


@pytest.mark.parametrize("label", ["", "-1", "two", "²", "100000000", "9" * 63])
def test_a_label_changed_by_hand_makes_it_a_pod_of_no_attempt(label: str) -> None:
    labels = {**a_pod()["metadata"]["labels"], "spottraining.dev/attempt": label}
    assert seen(metadata={**a_pod()["metadata"], "labels": labels}).attempt == -1


@pytest.mark.parametrize(
    "owner",
    [
        {"kind": "Job", "name": "digits", "uid": "x", "controller": True},
        {"kind": "SpotTrainingJob", "name": "digits", "uid": "x"},
    ],
    ids=["another kind", "no controller"],
)
def test_only_a_controlling_job_owns_a_pod(owner: Json) -> None:
    assert seen(metadata={**a_pod()["metadata"], "ownerReferences": [owner]}).owner_uid == ""


NODE: Json = {
    "metadata": {"name": "spot-a", "uid": "u", "resourceVersion": "1", "labels": {"zone": "a"}},
    "spec": {
        "unschedulable": True,
        "taints": [{"key": "gone", "value": "soon", "effect": "NoSchedule"}],
        "podCIDR": "10.0.0.0/24",
    },
    "status": {
        "nodeInfo": {"bootID": "boot-1", "kernelVersion": "6.18"},
        "conditions": [
            {
                "type": "Ready",
                "status": "False",
                "reason": "KubeletNotReady",
                "message": "node is shutting down",
                "lastHeartbeatTime": "2026-01-01T00:00:00Z",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
        ],
        "images": [{"names": ["large"]}],
    },
}


def test_a_node() -> None:
    view = node_view(trim_node(NODE))
    assert view.identity == NodeIdentity("spot-a", "u", "boot-1")
    assert (view.ready, view.ready_reason) == (False, "KubeletNotReady")
    assert view.ready_message == "node is shutting down"
    assert view.unschedulable
    assert [(one.key, one.value, one.effect) for one in view.taints] == [
        ("gone", "soon", "NoSchedule")
    ]
    assert view.labels == {"zone": "a"}


def test_a_heartbeat_is_no_news() -> None:
    later = json.loads(json.dumps(NODE).replace("lastHeartbeatTime", "ignored"))
    assert trim_node(later) == trim_node(NODE)


def test_a_node_that_never_reported_is_not_ready() -> None:
    bare = {"metadata": {"name": "n", "uid": "u", "resourceVersion": "1"}}
    assert not node_view(trim_node(bare)).ready


def stored(manifest: Json, **meta: Any) -> Json:
    manifest["metadata"] |= {
        "uid": "job-uid",
        "resourceVersion": "7",
        "generation": 2,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        **meta,
    }
    return manifest


def test_a_job() -> None:
    view = job_view(stored(a_job_manifest(), deletionTimestamp="2026-01-01T00:00:00Z"))
    assert (view.uid, view.generation, view.resource_version) == ("job-uid", 2, "7")
    assert view.deleting
    assert view.refusal is None


def test_a_spec_of_other_rules_is_refused_with_the_field_named() -> None:
    manifest = stored(a_job_manifest())
    manifest["spec"]["checkpoint"]["interval"] = "soon"
    view = job_view(manifest)
    assert view.refusal is not None
    assert "spec.checkpoint.interval" in view.refusal


def test_a_policy() -> None:
    policy = {"metadata": {"name": "gold"}, "spec": {"priorityClassNames": ["high"]}}
    view = policy_view(policy)
    assert (view.name, view.spec.priority_class_names) == ("gold", ("high",))


def a_lease(renewed: str | None) -> Json:
    spec = {} if renewed is None else {"renewTime": renewed, "holderIdentity": "n"}
    meta = {"name": "n", "namespace": "kube-node-lease", "uid": "u", "resourceVersion": "1"}
    return trim_lease({"metadata": meta, "spec": spec})


def test_leases_age_by_our_clock_whatever_theirs_says() -> None:
    async def scenario(clock: FakeClock) -> None:
        ages = LeaseAges(clock)
        assert ages.age("n") is None
        for renewed in ("1999-01-01T00:00:00Z", "2077-01-01T00:00:00Z"):
            ages.hear(Change(None, a_lease(renewed), live=True))
            await clock.sleep(10)
        assert ages.age("n") == 10
        assert ages.all_now()["n"] == (10, 20)

    in_fake_time(scenario)


def test_a_change_that_is_no_renewal_does_not_count() -> None:
    async def scenario(clock: FakeClock) -> None:
        ages = LeaseAges(clock)
        lease = a_lease("2026-01-01T00:00:00Z")
        ages.hear(Change(None, lease, live=False))
        await clock.sleep(30)
        ages.hear(Change(lease, a_lease("2026-01-01T00:00:00Z"), live=True))
        assert ages.age("n") == 30

    in_fake_time(scenario)


def test_renewals_are_remembered_for_ten_minutes_and_the_last_for_ever() -> None:
    async def scenario(clock: FakeClock) -> None:
        ages = LeaseAges(clock)
        for number in range(100):
            ages.hear(Change(None, a_lease(f"t{number}"), live=True))
            await clock.sleep(10)
        assert len(ages.all_now()["n"]) == 61
        await clock.sleep(5000)
        assert ages.age("n") == 5010
        ages.hear(Change(a_lease("t99"), None, live=True))
        assert ages.age("n") is None
        assert dict(ages.all_now()) == {}

    in_fake_time(scenario)
