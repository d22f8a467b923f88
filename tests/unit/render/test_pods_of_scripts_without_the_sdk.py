"""What a pod gets whose script writes its own checkpoints."""

from typing import Any

import pytest
from kit.jobs import a_job, a_script_job, a_template
from spot_operator.api import names
from spot_operator.domain.actions import CreatePod, Grant
from spot_operator.domain.state.ledger import CommitRef
from spot_operator.render.pod import render_pod
from spot_operator.render.settings import RenderSettings
from spot_operator.render.sidecar import sidecar_config
from spot_sidecar.config import spot_config as config
from spot_sidecar.config.paths import Paths
from spot_sidecar.directory.formats import format_of
from spot_sidecar.directory.huggingface import HuggingFace

Json = dict[str, Any]

SETTINGS = RenderSettings(sidecar_image="sidecar:1", reports_url="https://r:8443", ca_bundle="ca")
COMMIT = CommitRef(1, 20, "a00000001-s000000000020-0badcafe")


def created(newest: CommitRef | None = None) -> CreatePod:
    attempt = 2 if newest else 1
    return CreatePod(attempt=attempt, rank=0, grant=Grant(attempt=attempt, newest=newest))


def pod(job: Json, newest: CommitRef | None = None, **template: Any) -> Json:
    """The spec of the pod."""
    view = a_job(template=a_template(**template), **job)
    rendered = render_pod(view, created(newest), SETTINGS, drain_token="t" * 16)
    return dict(rendered["spec"])


def trainer(spec: Json) -> Json:
    return dict(next(one for one in spec["containers"] if one["name"] == "trainer"))


@pytest.mark.parametrize(
    ("layout", "path"),
    [
        ("HuggingFace", "/spot/shared/resume"),
        ("DCP", "/spot/shared/resume"),
        ("Plain", "/spot/shared/resume"),
        ("Lightning", "/spot/shared/resume.ckpt"),
    ],
)
def test_arguments_come_with_the_first_commit(layout: str, path: str) -> None:
    job = a_script_job(format=layout, resumeArgs=["--resume", "{path}", "--from={path}"])
    assert "args" not in trainer(pod(job))
    assert trainer(pod(job, COMMIT))["args"] == ["--resume", path, f"--from={path}"]
    own = {"name": "trainer", "image": "a", "args": ["--epochs", "3"]}
    assert trainer(pod(job, COMMIT, containers=[own]))["args"][:3] == ["--epochs", "3", "--resume"]
    assert own["args"] == ["--epochs", "3"]
    lightning = layout == "Lightning"
    assert path == str(Paths().resume_link(lightning=lightning))


def test_the_script_sees_its_part_of_the_volume() -> None:
    spec = pod(a_script_job())
    assert {"name": "spot-directory", "emptyDir": {}} in spec["volumes"]
    assert {"name": "spot-directory", "mountPath": "/out", "subPath": "data"} in trainer(spec)[
        "volumeMounts"
    ]
    sidecar = spec["initContainers"][0]
    assert {"name": "spot-directory", "mountPath": "/spot/directory"} in sidecar["volumeMounts"]
    assert str(Paths().script_files) == f"{names.PATH_DIRECTORY}/{names.SCRIPT_FILES}"
    assert sidecar["startupProbe"]["failureThreshold"] == 86_400


@pytest.mark.parametrize(
    ("pod_user", "own_user", "expected"),
    [(1000, None, 1000), (None, 1000, 1000), (1000, 2000, 2000), (1000, 0, 0)],
)
def test_the_sidecar_is_the_user_that_the_script_is(
    pod_user: int | None, own_user: int | None, expected: int
) -> None:
    own = {"name": "trainer", "image": "a", "command": ["x"]}
    container = own if own_user is None else {**own, "securityContext": {"runAsUser": own_user}}
    context = {} if pod_user is None else {"runAsUser": pod_user}
    spec = pod(a_script_job(), containers=[container], securityContext=context)
    security = spec["initContainers"][0]["securityContext"]
    assert (security["runAsUser"], security["runAsNonRoot"]) == (expected, expected != 0)
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["runAsGroup"] == names.SIDECAR_UID


def test_for_an_unknown_user_it_has_the_few_rights_that_it_needs() -> None:
    security = pod(a_script_job())["initContainers"][0]["securityContext"]
    assert security["runAsUser"] == 0
    assert security["capabilities"] == {
        "drop": ["ALL"],
        "add": ["CHOWN", "DAC_OVERRIDE", "FOWNER"],
    }
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False


def test_with_the_sdk_nothing_of_it_is_there() -> None:
    spec = pod({}, COMMIT)
    assert "spot-directory" not in str(spec)
    assert "args" not in trainer(spec)
    assert spec["initContainers"][0]["securityContext"]["runAsUser"] == names.SIDECAR_UID


def test_the_sidecar_reads_its_settings() -> None:
    job = a_job(**a_script_job(processes=4, settle="90s"))
    made = sidecar_config(job, created(), SETTINGS, drain_token="t" * 16, grace=60)
    read = config.Config.model_validate(made).directory
    assert read is not None
    assert (read.path, read.settle_seconds, read.resume_args) == ("/out", 90.0, True)
    assert format_of(read) == HuggingFace(processes=4)
    plain = a_job(**a_script_job(resumeArgs=[], format="Plain", marker="DONE"))
    made = sidecar_config(plain, created(), SETTINGS, drain_token="t" * 16, grace=60)
    assert made["directory"]["resumeArgs"] is False
    assert made["directory"]["marker"] == "DONE"
