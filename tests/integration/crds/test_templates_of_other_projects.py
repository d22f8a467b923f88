"""Pod templates that people bring along are taken, or the answer says what to change."""

from contextlib import suppress

import pytest
from integration.crds.world import Api
from kit.jobs import a_job
from kit.manifests.elsewhere import MOVES, STAND, UNKNOWN, Stands
from kit.manifests.good import NAMESPACE, a_full_job
from kit.manifests.paths import changed
from spot_operator.control.client import Json
from spot_operator.control.errors import AlreadyExists, BadRequest
from spot_operator.control.resource import PODS, Resource
from spot_operator.domain.actions import CreatePod, Grant
from spot_operator.render.pod import render_pod
from unit.render.test_pods_as_rendered import SETTINGS

pytestmark = pytest.mark.apiserver

ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")


def a_job_of(template: Json) -> Json:
    return changed(a_full_job(), {"spec.template": template})


@pytest.mark.parametrize("name", MOVES)
async def test_it_moves_as_it_is(api: Api, name: str) -> None:
    """The job is stored, and so is the pod that is made of it."""
    stored = await api.tried(a_job_of(MOVES[name]))
    job = a_job(namespace=NAMESPACE, template=stored["spec"]["template"])
    action = CreatePod(attempt=1, rank=0, grant=Grant(1, None))
    pod = render_pod(job, action, SETTINGS, drain_token="t")
    with suppress(AlreadyExists):
        account = {"metadata": {"name": "default", "namespace": NAMESPACE}}
        await api.client.create(ACCOUNTS, account)
    # Who it names need not exist for the pod to be well-formed; admission wants them to.
    for field in ("serviceAccountName", "runtimeClassName"):
        pod["spec"].pop(field, None)
    answer = await api.client.create(PODS, pod, field_validation="Strict", dry_run=True)
    assert answer.warnings == ()


@pytest.mark.parametrize("stands", STAND.values(), ids=STAND)
async def test_it_says_which_field_to_change(api: Api, stands: Stands) -> None:
    await api.expect_refused(a_job_of(stands.template), blames=stands.blames, says=stands.says)


@pytest.mark.parametrize(("template", "field"), UNKNOWN.values(), ids=UNKNOWN)
async def test_it_names_the_field_that_no_pod_has(api: Api, template: Json, field: str) -> None:
    with pytest.raises(BadRequest) as refused:
        await api.tried(a_job_of(template))
    assert f'unknown field "{field}"' in str(refused.value)
