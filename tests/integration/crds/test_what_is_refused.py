"""Every rule and every bound refuses something on a real API server, and says what to change."""

import pytest
from gen_crds import manifests
from integration.crds.world import JOBS, Api, expect_among_causes, expect_one_cause
from kit.manifests import refused
from kit.manifests.bounds import SAYS, Bounded, job_bounds, policy_bounds
from kit.manifests.good import a_full_job, a_full_policy, a_job_for, a_script_job
from kit.manifests.paths import changed
from kit.manifests.refused import Refused
from spot_operator.control.errors import BadRequest, Invalid

pytestmark = pytest.mark.apiserver

JOB_CRD, POLICY_CRD = manifests().values()


@pytest.mark.parametrize("row", refused.JOBS, ids=str)
async def test_a_job_that_breaks_a_rule(api: Api, row: Refused) -> None:
    manifest = changed(a_full_job(), {row.path: row.value})
    await api.expect_refused(manifest, blames=row.blamed, says=row.says)


@pytest.mark.parametrize("row", refused.SCRIPTS, ids=str)
async def test_a_job_of_a_script_that_breaks_a_rule(api: Api, row: Refused) -> None:
    manifest = changed(a_script_job(), {row.path: row.value})
    await api.expect_refused(manifest, blames=row.blamed, says=row.says)


@pytest.mark.parametrize("row", refused.SCRIPT_UPDATES, ids=str)
async def test_a_change_of_where_checkpoints_come_from(api: Api, row: Refused) -> None:
    stored = await api.created(a_script_job())
    with pytest.raises(Invalid) as error:
        await api.replaced(stored, {row.path: row.value})
    expect_among_causes(error.value, row.blamed, row.says)


@pytest.mark.parametrize("row", refused.POLICIES, ids=str)
async def test_a_policy_that_breaks_a_rule(api: Api, row: Refused) -> None:
    manifest = changed(a_full_policy(), {row.path: row.value})
    await api.expect_refused(manifest, blames=row.blamed, says=row.says)


@pytest.mark.parametrize("row", refused.JOB_UPDATES, ids=str)
async def test_a_change_of_what_is_immutable(api: Api, row: Refused) -> None:
    stored = await api.created(a_full_job())
    with pytest.raises(Invalid) as error:
        await api.replaced(stored, {row.path: row.value})
    expect_one_cause(error.value, row.blamed, row.says)


@pytest.mark.parametrize("bound", job_bounds(JOB_CRD), ids=str)
async def test_a_job_beyond_a_bound(api: Api, bound: Bounded) -> None:
    with pytest.raises(Invalid) as error:
        await api.tried(changed(a_job_for(bound.path), {bound.path: bound.refused}))
    expect_among_causes(error.value, bound.path, SAYS[bound.keyword])


@pytest.mark.parametrize("bound", policy_bounds(POLICY_CRD), ids=str)
async def test_a_policy_beyond_a_bound(api: Api, bound: Bounded) -> None:
    with pytest.raises(Invalid) as error:
        await api.tried(changed(a_full_policy(), {bound.path: bound.refused}))
    expect_among_causes(error.value, bound.path, SAYS[bound.keyword])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.workers", 2),
        ("spec.checkpoint.intervall", "5m"),
        ("spec.template.metadata.name", "digits"),
        ("spec.template.spec.ephemeralContainers", [{"name": "debug"}]),
        ("spec.template.spec.containers[0].imagePullPolice", "Always"),
    ],
)
async def test_a_field_that_nobody_knows(api: Api, path: str, value: object) -> None:
    with pytest.raises(BadRequest, match=f'unknown field "{path}"'.replace("[", r"\[")):
        await api.tried(changed(a_full_job(), {path: value}))


@pytest.mark.parametrize("value", ["half", "1 Gi", "", "0,5", {"cpu": 1}, [1]])
@pytest.mark.parametrize("kind", ["limits", "requests"])
async def test_a_quantity_that_is_none(api: Api, kind: str, value: object) -> None:
    path = f"spec.template.spec.containers[0].resources.{kind}.cpu"
    with pytest.raises(Invalid, match="cpu"):
        await api.tried(changed(a_full_job(), {path: value}))


async def test_a_policy_listed_twice_for_a_class(api: Api) -> None:
    manifest = changed(a_full_policy(), {"spec.priorityClassNames": ["batch", "batch"]})
    await api.expect_refused(manifest, blames="spec.priorityClassNames[1]", says="Duplicate value")


async def test_the_history_of_a_job_is_bounded(api: Api) -> None:
    stored = await api.created(a_full_job())
    attempts = [{"number": number, "createdAt": "2026-01-01T00:00:00Z"} for number in range(1, 22)]
    with pytest.raises(Invalid, match="attempts"):
        await api.client.replace_status(JOBS, {**stored, "status": {"attempts": attempts}})
