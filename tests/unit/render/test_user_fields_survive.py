"""Whatever a template says, the pod says too, except where the design takes over."""

import copy
from collections.abc import Collection
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from kit.jobs import a_job
from spot_operator.api import names
from spot_operator.domain.actions import CreatePod, Grant
from spot_operator.render.pod import render_pod
from spot_operator.render.settings import RenderSettings

Json = dict[str, Any]

SETTINGS = RenderSettings(sidecar_image="sidecar:1", reports_url="https://r:8443", ca_bundle="ca")
ACTION = CreatePod(attempt=2, rank=0, grant=Grant(2, None), barred_nodes=("n1",))

NAMES = st.text("abcdefgh", min_size=1, max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | NAMES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
LABELS = st.dictionaries(NAMES, NAMES, max_size=3)
NAMED = st.lists(st.fixed_dictionaries({"name": NAMES, "x": VALUES}), max_size=2)
OURS_IN_CONTAINER = {"name", "env", "volumeMounts", "lifecycle"}
CONTAINER: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "image": NAMES,
        "resources": VALUES,
        "unknownToUs": VALUES,
        "env": NAMED,
        "volumeMounts": NAMED,
        "lifecycle": st.fixed_dictionaries({"postStart": VALUES}),
    },
)
CONTAINERS: st.SearchStrategy[Any] = st.lists(
    CONTAINER, min_size=1, max_size=3, unique_by=lambda one: str(one["name"])
)
POD: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {"containers": CONTAINERS},
    optional={
        "initContainers": st.lists(CONTAINER, max_size=2),
        "volumes": NAMED,
        "nodeSelector": LABELS,
        "priorityClassName": NAMES,
        "terminationGracePeriodSeconds": st.integers(0, 600),
        "automountServiceAccountToken": st.booleans(),
        "securityContext": st.fixed_dictionaries(
            {}, optional={"fsGroup": st.integers(0, 9), "runAsUser": st.integers(0, 9)}
        ),
        "affinity": st.fixed_dictionaries({}, optional={"podAffinity": VALUES}),
        "unknownToUs": VALUES,
    },
)
TEMPLATE: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {"spec": POD},
    optional={
        "metadata": st.fixed_dictionaries({}, optional={"labels": LABELS, "annotations": LABELS})
    },
)


def expect_within(theirs: Json, ours: Json, *, except_for: Collection[str] = ()) -> None:
    """Every field of `theirs` stands in `ours` with the same value."""
    for key, value in theirs.items():
        if key not in except_for:
            assert ours[key] == value, key


def expect_same_container(theirs: Json, ours: Json) -> None:
    expect_within(theirs, ours, except_for=OURS_IN_CONTAINER)
    for key in ("env", "volumeMounts"):
        assert all(entry in ours[key] for entry in theirs.get(key, []))
    expect_within(theirs.get("lifecycle", {}), ours.get("lifecycle", {}))


@given(TEMPLATE)
def test_user_fields_survive(template: Json) -> None:
    before = copy.deepcopy(template)
    pod = render_pod(a_job(template=template), ACTION, SETTINGS, drain_token="t")
    assert template == before

    theirs, ours = template["spec"], pod["spec"]
    merged = {"containers", "initContainers", "volumes", "securityContext", "affinity"}
    expect_within(theirs, ours, except_for=merged)
    expect_within(theirs.get("securityContext", {}), ours["securityContext"])
    expect_within(theirs.get("affinity", {}), ours["affinity"])
    assert ours["initContainers"][1:] == theirs.get("initContainers", [])
    assert ours["volumes"][: len(theirs.get("volumes", []))] == theirs.get("volumes", [])
    for container, rendered in zip(theirs["containers"], ours["containers"], strict=True):
        expect_same_container(container, rendered)
    for key in ("labels", "annotations"):
        expect_within(template.get("metadata", {}).get(key, {}), pod["metadata"][key])


@given(TEMPLATE)
def test_the_sidecar_is_always_first_and_never_ours_alone(template: Json) -> None:
    pod = render_pod(a_job(template=template), ACTION, SETTINGS, drain_token="t")
    assert pod["spec"]["initContainers"][0]["name"] == names.SIDECAR_CONTAINER
    assert pod["spec"]["restartPolicy"] == "Never"
    assert names.SIDECAR_UID in pod["spec"]["securityContext"]["supplementalGroups"]
