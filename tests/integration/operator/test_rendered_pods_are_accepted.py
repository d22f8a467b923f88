"""What is rendered is what a strict API server stores, field by field."""

from typing import Any

import pytest
import yaml
from stage.kube import Kube
from unit.render.test_pods_as_rendered import GOLDEN

pytestmark = pytest.mark.apiserver

Json = dict[str, Any]


@pytest.mark.parametrize("name", ["plain", "rich"])
def test_the_pods_written_down_are_accepted_strictly(kube: Kube, name: str) -> None:
    pod = yaml.safe_load((GOLDEN / f"{name}.yaml").read_text())
    spec = pod["spec"]
    # Who these name need not exist for the pod to be well-formed; admission wants them to.
    spec.pop("priorityClassName", None)
    spec.pop("serviceAccountName", None)
    arguments = ("--dry-run=server", "--validate=strict", "-ojson", "-f", "-")
    stored = yaml.safe_load(kube.run("create", *arguments, stdin=yaml.safe_dump(pod)))
    for term in terms(stored["spec"]):
        assert term in terms(spec)
    assert stored["spec"]["initContainers"][0]["restartPolicy"] == "Always"


def terms(spec: Json) -> list[Json]:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    found: list[Json] = spec["affinity"]["nodeAffinity"][required]["nodeSelectorTerms"]
    return found
