"""What a pod looks like: whole, against a file people can read, and field by field."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from kit.jobs import a_job, a_template
from spot_operator.api import names
from spot_operator.domain.accounts.hazard import Hazard
from spot_operator.domain.actions import CreatePod, Grant
from spot_operator.domain.state.ledger import CommitRef, Interval, IntervalInputs
from spot_operator.render.pod import render_pod
from spot_operator.render.settings import RenderSettings
from spot_operator.render.sidecar import sidecar_config

Json = dict[str, Any]

GOLDEN = Path(__file__).with_name("golden")
SETTINGS = RenderSettings(
    sidecar_image="registry.example/sidecar:1",
    reports_url="https://spot-training-reports.spot-system.svc:8443",
    ca_bundle="-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n",
)
FIRST = CreatePod(attempt=1, rank=0, grant=Grant(attempt=1, newest=None))
THIRD = CreatePod(
    attempt=3,
    rank=0,
    grant=Grant(
        attempt=3,
        newest=CommitRef(2, 400, "a00000002-s000000000400-0badcafe"),
        suspects=("a00000002-s000000000500-0badcafe",),
        start_fresh=True,
    ),
    barred_nodes=("spot-b", "spot-a"),
    high_water=512,
    hazard=Hazard(incidents=2.5, hours=30.25, saved_share=0.125),
    interval=Interval(
        240.0,
        "Optimum",
        IntervalInputs(
            stall_seconds=0.5,
            commit_latency_seconds=12.0,
            upload_bytes_per_second=1e8,
            saves=7,
            interruptions_per_hour=0.1,
        ),
    ),
    max_lost_work=timedelta(seconds=300),
)

RICH_TEMPLATE: Json = {
    "metadata": {"labels": {"team": "vision"}, "annotations": {"note": "mine"}},
    "spec": {
        "serviceAccountName": "trainer",
        "automountServiceAccountToken": True,
        "terminationGracePeriodSeconds": 60,
        "priorityClassName": "experiment",
        "nodeSelector": {"disk": "ssd"},
        "securityContext": {"runAsUser": 1000, "supplementalGroups": [7]},
        "tolerations": [{"key": "team", "operator": "Equal", "value": "vision"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["a"]}]}
                    ]
                }
            }
        },
        "initContainers": [{"name": "fetch", "image": "fetch:1"}],
        "containers": [
            {"name": "logs", "image": "logs:1"},
            {
                "name": "trainer",
                "image": "digits:1",
                "env": [{"name": "LR", "value": "0.1"}],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                "resources": {"limits": {"nvidia.com/gpu": 1}},
                "lifecycle": {"postStart": {"exec": {"command": ["true"]}}},
            },
        ],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "digits"}}],
    },
}
RICH_CHECKPOINT: Json = {
    "store": {
        "s3": {
            "bucket": "checkpoints",
            "prefix": "teams/vision",
            "endpointURL": "http://s3.storage.svc:7070",
            "region": "eu-central-1",
            "credentialsSecretName": "s3",
        }
    },
    "interval": "90s",
    "maxLostWork": "5m",
    "keep": {"newest": 5, "milestoneEvery": "6h"},
    "onNoneValid": "StartFresh",
    "staging": {"sizeLimit": "256Mi"},
}


REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def rendered(action: CreatePod = FIRST, settings: RenderSettings = SETTINGS, **spec: Any) -> Json:
    return render_pod(a_job(**spec), action, settings, drain_token="feedfacefeedface")


def container_of(pod: Json, name: str) -> Json:
    spec = pod["spec"]
    found = [one for one in spec["initContainers"] + spec["containers"] if one["name"] == name]
    assert len(found) == 1
    return dict(found[0])


def mounts_of(container: Json) -> dict[str, str]:
    return {mount["name"]: mount["mountPath"] for mount in container.get("volumeMounts", ())}


@pytest.mark.parametrize(
    ("said", "policy"),
    [
        ({}, "FallbackToLogsOnError"),
        ({"terminationMessagePolicy": "File"}, "File"),
        ({"terminationMessagePolicy": "FallbackToLogsOnError"}, "FallbackToLogsOnError"),
    ],
)
def test_the_trainers_last_lines_are_kept_unless_the_template_says_otherwise(
    said: Json, policy: str
) -> None:
    trainer = {"name": "trainer", "image": "digits:1", **said}
    logs = {"name": "logs", "image": "logs:1"}
    pod = rendered(template={"spec": {"containers": [logs, trainer]}})
    containers = {one["name"]: one for one in pod["spec"]["containers"]}
    assert containers["trainer"]["terminationMessagePolicy"] == policy
    assert "terminationMessagePolicy" not in containers["logs"]


@pytest.mark.parametrize(
    ("name", "pod"),
    [
        ("plain", rendered()),
        ("rich", rendered(THIRD, template=RICH_TEMPLATE, checkpoint=RICH_CHECKPOINT)),
    ],
)
def test_the_whole_pod_is_as_written_down(name: str, pod: Json) -> None:
    """Read the files under golden/ to see what a user gets; change them when that is meant."""
    assert pod == yaml.safe_load((GOLDEN / f"{name}.yaml").read_text())


@pytest.mark.parametrize(
    ("there", "trains"),
    [(["main"], "main"), (["trainer"], "trainer"), (["logs", "trainer"], "trainer")],
)
def test_the_pod_says_which_container_trains(there: list[str], trains: str) -> None:
    template = {"spec": {"containers": [{"name": name, "image": "a"} for name in there]}}
    pod = rendered(template=template)
    annotations = pod["metadata"]["annotations"]
    assert annotations[names.ANNOTATION_TRAINER] == trains
    assert annotations["kubectl.kubernetes.io/default-container"] == trains
    hooked = [one["name"] for one in pod["spec"]["containers"] if "lifecycle" in one]
    assert hooked == [trains]


def test_which_container_trains_is_not_for_the_template_to_say_in_an_annotation() -> None:
    theirs = {
        names.ANNOTATION_TRAINER: "logs",
        "kubectl.kubernetes.io/default-container": "logs",
    }
    template = {**RICH_TEMPLATE, "metadata": {"annotations": theirs}}
    annotations = rendered(template=template)["metadata"]["annotations"]
    assert annotations[names.ANNOTATION_TRAINER] == "trainer"
    assert annotations["kubectl.kubernetes.io/default-container"] == "logs", "theirs to choose"


@pytest.mark.parametrize("length", [20, 253])
def test_a_pod_that_avoids_many_nodes_can_be_stored(length: int) -> None:
    """A partition makes every lease stale; what is not barred is a last resort, and said so."""
    zone = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["z"]}
    terms = [{"matchExpressions": [zone]}] * 16
    affinity = {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}}
    template = a_template()
    template["spec"]["affinity"] = affinity
    nodes = tuple(f"{number:02}".ljust(length, "n") for number in range(64))
    pod = rendered(replace(FIRST, barred_nodes=nodes), template=template)
    assert len(json.dumps(pod)) < 1024 * 1024
    ours = pod["spec"]["affinity"]["nodeAffinity"]
    required = ours[REQUIRED]["nodeSelectorTerms"][0]["matchFields"]
    disliked = [one["preference"]["matchFields"] for one in ours.get(PREFERRED, ())]
    barred = [one["values"][0] for one in required]
    last = [one["values"][0] for fields in disliked for one in fields]
    assert sorted({*barred, *last}) == list(nodes)
    assert pod["metadata"]["annotations"][names.ANNOTATION_AVOIDS].split(",") == barred


def test_the_template_is_not_changed() -> None:
    before = json.dumps(RICH_TEMPLATE)
    rendered(THIRD, template=RICH_TEMPLATE)
    assert json.dumps(RICH_TEMPLATE) == before


def test_only_the_sidecar_sees_what_is_private() -> None:
    pod = rendered(template=RICH_TEMPLATE, checkpoint=RICH_CHECKPOINT)
    private = {
        names.VOLUME_PRIVATE,
        names.VOLUME_TOKEN,
        names.VOLUME_CREDENTIALS,
        names.VOLUME_PODINFO,
    }
    assert private < set(mounts_of(container_of(pod, names.SIDECAR_CONTAINER)))
    for name in ("trainer", "logs", "fetch"):
        assert not private & set(mounts_of(container_of(pod, name)))


def test_without_a_secret_there_is_no_credentials_volume_and_identity_may_use_metadata() -> None:
    pod = rendered()
    sidecar = container_of(pod, names.SIDECAR_CONTAINER)
    assert names.VOLUME_CREDENTIALS not in {volume["name"] for volume in pod["spec"]["volumes"]}
    assert "AWS_EC2_METADATA_DISABLED" not in {entry["name"] for entry in sidecar["env"]}


@pytest.mark.parametrize("size", ["1Mi", "1Gi", "3500M"])
def test_the_sidecar_may_hold_all_of_staging_and_the_scheduler_knows(size: str) -> None:
    pod = rendered(checkpoint={**RICH_CHECKPOINT, "staging": {"sizeLimit": size}})
    sidecar = container_of(pod, names.SIDECAR_CONTAINER)
    staging = json.loads(sidecar["env"][0]["value"])["stagingBytes"]
    shared = next(v for v in pod["spec"]["volumes"] if v["name"] == names.VOLUME_SHARED)
    limit = int(sidecar["resources"]["limits"]["memory"])
    assert limit == int(sidecar["resources"]["requests"]["memory"]) == staging + 192 * 1024**2
    assert staging < int(shared["emptyDir"]["sizeLimit"]) < limit


def test_the_only_container_trains_whatever_its_name() -> None:
    pod = rendered(template=a_template(containers=[{"name": "main", "image": "digits:1"}]))
    assert names.VOLUME_SHARED in mounts_of(container_of(pod, "main"))
    assert container_of(pod, "main")["lifecycle"]["preStop"]["httpGet"]["path"] == names.PATH_DRAIN


def test_our_names_win_in_the_environment_and_come_first() -> None:
    template = a_template(
        containers=[
            {
                "name": "trainer",
                "image": "digits:1",
                "env": [
                    {"name": "SPOT_ATTEMPT", "value": "99"},
                    {"name": "OUT", "value": "/out/$(SPOT_ATTEMPT)"},
                ],
            }
        ]
    )
    env = container_of(rendered(THIRD, template=template), "trainer")["env"]
    assert [entry for entry in env if entry["name"] == "SPOT_ATTEMPT"] == [
        {"name": "SPOT_ATTEMPT", "value": "3"}
    ]
    assert env[-1]["name"] == "OUT"


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [({}, False), ({"automountServiceAccountToken": True}, True)],
    ids=["unset", "set"],
)
def test_a_token_for_the_api_is_the_users_choice(theirs: Json, expected: bool) -> None:
    pod = rendered(template=a_template(**theirs))
    assert pod["spec"]["automountServiceAccountToken"] is expected


@pytest.mark.parametrize(
    ("theirs", "seconds"), [({}, 120), ({"terminationGracePeriodSeconds": 0}, 0)]
)
def test_the_grace_period_is_the_templates_or_two_minutes(theirs: Json, seconds: int) -> None:
    pod = rendered(template=a_template(**theirs))
    config = json.loads(container_of(pod, names.SIDECAR_CONTAINER)["env"][0]["value"])
    assert pod["spec"]["terminationGracePeriodSeconds"] == config["graceSeconds"] == seconds


def test_the_configuration_names_where_the_keys_lie_but_holds_none() -> None:
    config = sidecar_config(
        a_job(checkpoint=RICH_CHECKPOINT), THIRD, SETTINGS, drain_token="t", grace=60
    )
    assert config["store"] == {
        "s3": {
            "bucket": "checkpoints",
            "prefix": "teams/vision",
            "endpointURL": "http://s3.storage.svc:7070",
            "region": "eu-central-1",
            "credentialsDir": "/spot/credentials",
        }
    }
    assert config["highWaterStep"] == 512
    assert config["keep"] == {"newest": 5, "milestoneEvery": 21_600.0}


def test_the_drain_hook_and_the_sidecar_share_the_pods_own_token() -> None:
    pod = rendered()
    hook = container_of(pod, "trainer")["lifecycle"]["preStop"]["httpGet"]
    config = json.loads(container_of(pod, names.SIDECAR_CONTAINER)["env"][0]["value"])
    assert hook["httpHeaders"] == [{"name": "X-Spot-Drain", "value": config["drainToken"]}]


@pytest.mark.parametrize(
    ("interval", "bound", "known", "seconds"),
    [
        ("Adaptive", None, None, 300.0),
        ("Adaptive", 60.0, None, 30.0),
        ("Adaptive", 3600.0, None, 300.0),
        ("Adaptive", 60.0, Interval(200.0, "NotMeasured"), 30.0),
        ("Adaptive", 60.0, THIRD.interval, 240.0),
        ("90s", 60.0, THIRD.interval, 90.0),
    ],
)
def test_which_interval_an_attempt_begins_with(
    interval: str, bound: float | None, known: Interval | None, seconds: float
) -> None:
    """Half of what may be lost while nothing was measured; then what the last attempt found."""
    store = {"s3": {"bucket": "checkpoints"}}
    most = None if bound is None else timedelta(seconds=bound)
    action = replace(FIRST, interval=known, max_lost_work=most)
    pod = rendered(action, checkpoint={"store": store, "interval": interval})
    config = json.loads(container_of(pod, "spot-sidecar")["env"][0]["value"])
    assert config["interval"] == seconds


def test_a_volume_is_the_sidecars_alone() -> None:
    store = {"volume": {"claimName": "ckpt", "path": "teams/vision"}}
    pod = rendered(template=RICH_TEMPLATE, checkpoint={**RICH_CHECKPOINT, "store": store})
    volume = {"name": "spot-store", "persistentVolumeClaim": {"claimName": "ckpt"}}
    assert volume in pod["spec"]["volumes"]
    sidecar = container_of(pod, names.SIDECAR_CONTAINER)
    assert mounts_of(sidecar)["spot-store"] == "/spot/store"
    for name in ("trainer", "logs", "fetch"):
        assert "spot-store" not in mounts_of(container_of(pod, name))
    config = json.loads(sidecar["env"][0]["value"])
    assert config["store"] == {"volume": {"mount": "/spot/store", "path": "teams/vision"}}
    assert {"name": "AWS_EC2_METADATA_DISABLED", "value": "true"} in sidecar["env"]


@pytest.mark.parametrize(
    ("bundle", "source"),
    [
        ({"secretName": "ca"}, {"secret": {"secretName": "ca"}}),
        ({"configMapName": "ca", "key": "root.pem"}, {"configMap": {"name": "ca"}}),
    ],
)
def test_a_private_authority_is_mounted_as_a_folder_so_that_it_may_change(
    bundle: Json, source: Json
) -> None:
    store = {"s3": {"bucket": "ckpt", "caBundle": bundle, "addressing": "VirtualHost"}}
    pod = rendered(checkpoint={**RICH_CHECKPOINT, "store": store})
    (volume,) = (one for one in pod["spec"]["volumes"] if one["name"] == "spot-ca")
    ((kind, named),) = source.items()
    items = [{"key": bundle.get("key", "ca.crt"), "path": "ca.crt"}]
    assert volume == {"name": "spot-ca", kind: {**named, "items": items, "defaultMode": 0o444}}
    sidecar = container_of(pod, names.SIDECAR_CONTAINER)
    (mount,) = (one for one in sidecar["volumeMounts"] if one["name"] == "spot-ca")
    assert mount == {"name": "spot-ca", "mountPath": "/spot/ca", "readOnly": True}
    s3 = json.loads(sidecar["env"][0]["value"])["store"]["s3"]
    assert (s3["caFile"], s3["addressing"]) == ("/spot/ca/ca.crt", "virtual")
