"""What the operator objects to, because a rule in the CRD would cost too much."""

from typing import Any

import pytest
from kit.manifests.good import a_full_job
from kit.manifests.paths import changed
from spot_operator.api.job import JobSpec
from spot_operator.api.validation import problems, refusal

POD = "spec.template.spec"
MOUNT = f"{POD}.containers[0].volumeMounts[0].mountPath"
FETCH = f"{POD}.initContainers[0].volumeMounts[0].mountPath"


def _spec(changes: dict[str, Any]) -> JobSpec:
    return JobSpec.model_validate(changed(a_full_job(), changes)["spec"])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (MOUNT, "/data/../spot"),
        (MOUNT, "/./spot/shared"),
        (FETCH, "data/../spot/token"),
        (MOUNT, "/"),
        (MOUNT, "/data/.."),
    ],
)
def test_a_mount_that_hides_the_operators(path: str, value: str) -> None:
    (found,) = problems(_spec({path: value}))
    assert found.path == path
    assert repr(value) in found.message
    assert "mount elsewhere" in found.message


@pytest.mark.parametrize("value", ["/data", "/spotty", "/data/spot", "/spot/../data", "/..spot"])
def test_a_mount_beside_it(value: str) -> None:
    assert problems(_spec({MOUNT: value})) == ()


def _token(audience: str) -> dict[str, Any]:
    token = {"serviceAccountToken": {"audience": audience, "path": "token"}}
    return {"name": "token", "projected": {"sources": [{"secret": {"name": "a"}}, token]}}


def test_a_token_with_which_the_trainer_could_report() -> None:
    (found,) = problems(_spec({f"{POD}.volumes[1]": _token("spottraining.dev/reports")}))
    assert found.path == f"{POD}.volumes[1].projected.sources[1].serviceAccountToken.audience"
    assert "use another audience" in found.message


def test_a_token_for_somebody_else() -> None:
    assert problems(_spec({f"{POD}.volumes[1]": _token("vault")})) == ()


TRAINER = f"{POD}.containers[0]"
FIRST = f"{POD}.initContainers[0]"


@pytest.mark.parametrize(
    ("path", "value", "blamed"),
    [
        *(
            (f"{container}.{field}", value, f"{container}.{blamed}")
            for container in (TRAINER, f"{POD}.containers[1]", FIRST)
            for field, value, blamed in (
                ("volumeMounts[0].name", "spot-token", "volumeMounts[0].name"),
                ("volumeMounts[0].name", "spot-credentials", "volumeMounts[0].name"),
                ("volumeMounts[0].name", "spot-of-tomorrow", "volumeMounts[0].name"),
                (
                    "volumeMounts",
                    [{"name": "spot-private", "mountPath": "/x", "subPath": "nonce"}],
                    "volumeMounts[0].name",
                ),
                (
                    "volumeDevices",
                    [{"name": "spot-store", "devicePath": "/dev/x"}],
                    "volumeDevices[0].name",
                ),
                (
                    "volumeDevices",
                    [{"name": "disk", "devicePath": "/dev/../spot/shared/sidecar.sock"}],
                    "volumeDevices[0].devicePath",
                ),
                (
                    "env[0]",
                    {"name": "N", "valueFrom": {"fileKeyRef": {"volumeName": "spot-private"}}},
                    "env[0].valueFrom.fileKeyRef.volumeName",
                ),
            )
        ),
        (f"{POD}.hostPID", True, f"{POD}.hostPID"),
        (f"{POD}.shareProcessNamespace", True, f"{POD}.shareProcessNamespace"),
    ],
)
def test_ways_to_what_only_the_sidecar_may_see(path: str, value: Any, blamed: str) -> None:
    """Also refused where the CRD has no rule for it yet: a job may be older than the rule."""
    (found,) = problems(_spec({path: value}))
    assert found.path == blamed
    assert any(remedy in found.message for remedy in ("of your own", "leave it out", "choose"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{TRAINER}.volumeMounts[0].name", "spotless"),
        (f"{TRAINER}.volumeDevices", [{"name": "disk", "devicePath": "/dev/spot"}]),
        (f"{TRAINER}.env[0]", {"name": "N", "valueFrom": {"fileKeyRef": {"volumeName": "data"}}}),
        (f"{TRAINER}.env[0]", {"name": "N", "valueFrom": None}),
        (f"{POD}.hostPID", False),
        (f"{POD}.hostIPC", True),
        (f"{TRAINER}.resources", {"limits": {"cpu": 0.5, "memory": "1Gi", "nvidia.com/gpu": 1}}),
        (f"{POD}.resources", {"requests": {"cpu": 1.5}}),
    ],
)
def test_what_only_looks_like_it(path: str, value: Any) -> None:
    assert problems(_spec({path: value})) == ()


@pytest.mark.parametrize("value", [True, False, {}, [], None])
@pytest.mark.parametrize("where", [TRAINER, FIRST, POD])
def test_a_quantity_that_the_schema_cannot_refuse(where: str, value: Any) -> None:
    (found,) = problems(_spec({f"{where}.resources": {"limits": {"cpu": value}}}))
    assert found.path == f"{where}.resources.limits[cpu]"
    assert "'500m'" in found.message


def test_all_problems_are_told_at_once() -> None:
    spec = _spec({MOUNT: "/", FETCH: "/"})
    said = refusal(problems(spec)) or ""
    assert MOUNT in said
    assert FETCH in said
    assert refusal(problems(_spec({}))) is None
