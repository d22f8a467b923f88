"""The Secrets that pull the sidecar's image stand in every pod that runs it."""

from dataclasses import replace
from typing import Any

import pytest
from kit.jobs import a_job, a_template
from spot_operator.render.pod import render_pod
from spot_operator.render.purge import render_purge
from unit.render.test_pods_as_rendered import FIRST, SETTINGS

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("named", "chosen", "expected"),
    [
        # An empty list would keep Kubernetes from adding those of the service account.
        (None, (), None),
        (["mine"], (), ["mine"]),
        (None, ("ours",), ["ours"]),
        (["mine"], ("ours", "more"), ["mine", "ours", "more"]),
        (["ours"], ("ours",), ["ours"]),
    ],
)
def test_the_templates_own_come_first_and_none_twice(
    named: list[str] | None, chosen: tuple[str, ...], expected: list[str] | None
) -> None:
    spec: Json = {} if named is None else {"imagePullSecrets": [{"name": one} for one in named]}
    job = a_job(template=a_template(**spec))
    settings = replace(SETTINGS, sidecar_pull_secrets=chosen)
    for pod in (
        render_pod(job, FIRST, settings, drain_token="a-token"),
        render_purge(job, 1, settings),
    ):
        found = pod["spec"].get("imagePullSecrets")
        assert found == (None if expected is None else [{"name": one} for one in expected])
