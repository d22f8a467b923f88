"""What the fake does not model and the code relies on: asked of the real server alone."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from integration.contract.world import WIDGETS, Api, define_widgets, pod, prepared, widget
from spot_operator.control.client import Json, PatchKind
from spot_operator.control.clock import SystemClock
from spot_operator.control.credentials import load
from spot_operator.control.errors import BadRequest, Conflict, Gone, Unauthorized
from spot_operator.control.http_client import HttpClient
from spot_operator.control.resource import PODS, TOKENREVIEWS

pytestmark = pytest.mark.apiserver


@pytest.fixture
async def real(api_server_kubeconfig: str) -> AsyncIterator[Api]:
    connection = await load(SystemClock(), kubeconfig=api_server_kubeconfig)
    async with HttpClient(connection, user_agent="contract-tests") as client:
        await define_widgets(client)
        yield await prepared(client)


async def test_a_misspelt_field_is_created_with_a_warning(real: Api) -> None:
    body = pod("one", real.namespace)
    body["spec"]["nodeNam"] = "n1"
    made = await real.client.create(PODS, body)
    assert made.warnings == ('unknown field "spec.nodeNam"',)


async def test_or_refused_where_that_is_wanted(real: Api) -> None:
    body = pod("one", real.namespace)
    body["spec"]["nodeNam"] = "n1"
    with pytest.raises(BadRequest, match="nodeNam"):
        await real.client.create(PODS, body, field_validation="Strict")


async def test_a_token_is_reviewed(real: Api) -> None:
    body = {
        "apiVersion": TOKENREVIEWS.api_version,
        "kind": TOKENREVIEWS.kind,
        "spec": {"token": "nonsense", "audiences": ["example.com"]},
    }
    made = await real.client.create(TOKENREVIEWS, body)
    assert not made.object["status"].get("authenticated")


async def test_an_unknown_page_is_refused(real: Api) -> None:
    with pytest.raises((BadRequest, Gone)):
        await real.client.list(WIDGETS, namespace=real.namespace, more="nonsense")


async def test_applying_owns_fields_and_the_same_again_is_no_change(real: Api) -> None:
    def body(**spec: int) -> Json:
        return widget("one", real.namespace, spec=spec)

    async def apply(manager: str, *, force: bool = False, **spec: int) -> Json:
        return await real.client.patch(
            WIDGETS,
            "one",
            body(**spec),
            namespace=real.namespace,
            kind=PatchKind.APPLY,
            field_manager=manager,
            force=force,
        )

    first = await apply("us", size=1, weight=2)
    again = await apply("us", size=1, weight=2)
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    with pytest.raises(Conflict, match="us"):
        await apply("them", size=5)
    forced = await apply("them", force=True, size=5)
    assert forced["spec"] == {"size": 5, "weight": 2}
    dropped = await apply("us", weight=2)
    assert dropped["spec"] == {"size": 5, "weight": 2}
    assert (await apply("us"))["spec"] == {"size": 5}


async def test_a_token_of_nobody_is_unauthorized(
    api_server_kubeconfig: str, tmp_path: Path
) -> None:
    stranger = _with_token(api_server_kubeconfig, "nobody", tmp_path)
    connection = await load(SystemClock(), kubeconfig=stranger)
    async with HttpClient(connection, user_agent="contract-tests") as client:
        with pytest.raises(Unauthorized):
            await client.list(PODS, namespace="default")


def _with_token(kubeconfig: str, token: str, folder: Path) -> str:
    """The same server, another user."""
    document = yaml.safe_load(Path(kubeconfig).read_text())
    for user in document["users"]:
        user["user"] = {"token": token}
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return str(path)
