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


def test_all_problems_are_told_at_once() -> None:
    spec = _spec({MOUNT: "/", FETCH: "/"})
    said = refusal(problems(spec)) or ""
    assert MOUNT in said
    assert FETCH in said
    assert refusal(problems(_spec({}))) is None
