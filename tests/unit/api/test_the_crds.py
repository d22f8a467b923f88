"""What the CRDs promise, as far as it can be told without an API server."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from gen_crds import FOLDERS, main, manifests, rendered
from kit.manifests import refused
from spot_operator.api.crd import field_schema
from spot_operator.api.job_rules import JOB
from spot_operator.api.policy_rules import POLICY
from spot_operator.api.rules import Rule

Json = dict[str, Any]

JOB_CRD, POLICY_CRD = manifests().values()
UPDATES = (*refused.JOB_UPDATES, *refused.SCRIPT_UPDATES)
APPLY_LIMIT = 262_144
"""Bytes of all annotations: plain `kubectl apply` keeps the whole object in one."""


def _root(crd: Json) -> Json:
    root: Json = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return root


def _fields(schema: Json, path: str) -> Iterator[tuple[str, Json]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from _fields(child, f"{path}.{name}")
    if "items" in schema:
        yield from _fields(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _fields(schema["additionalProperties"], f"{path}{{}}")


def _ours(crd: Json) -> dict[str, Json]:
    """Every field that is not Kubernetes' own."""
    found = dict(_fields(_root(crd), ""))
    return {
        path: schema
        for path, schema in found.items()
        if not path.startswith((".spec.template.", ".metadata")) and path
    }


def test_the_committed_files_are_current() -> None:
    assert main(["--check"]) == 0, "run `make gen`"
    for folder in FOLDERS:
        assert {path.name for path in folder.iterdir()} == set(rendered())


@pytest.mark.parametrize("crd", [JOB_CRD, POLICY_CRD], ids=["job", "policy"])
def test_every_column_shows_a_field_that_there_is(crd: Json) -> None:
    for column in crd["spec"]["versions"][0]["additionalPrinterColumns"]:
        path = re.sub(r"\[\?\(.*?\)\]|\[0\]", "[]", column["jsonPath"]).removeprefix(".")
        if not path.startswith("metadata."):
            schema = field_schema(_root(crd), path)
            assert (schema.get("format") == "date-time") == (column["type"] == "date"), column


def test_a_stale_file_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr("gen_crds.FOLDERS", (tmp_path,))
    assert main(["--check"]) == 1
    assert main([]) == 0
    assert main(["--check"]) == 0


def test_they_are_small_enough_for_plain_kubectl_apply() -> None:
    sizes = {name: len(json.dumps(crd, separators=(",", ":"))) for name, crd in manifests().items()}
    assert max(sizes.values()) < 240_000 < APPLY_LIMIT


@pytest.mark.parametrize("crd", [JOB_CRD, POLICY_CRD], ids=["job", "policy"])
def test_every_field_of_ours_is_described(crd: Json) -> None:
    missing = [
        path
        for path, schema in _ours(crd).items()
        if not path.endswith("[]") and not schema.get("description", "").endswith(".")
    ]
    assert missing == []


@pytest.mark.parametrize("crd", [JOB_CRD, POLICY_CRD], ids=["job", "policy"])
def test_every_setting_is_immutable_or_says_when_a_change_takes_effect(crd: Json) -> None:
    parts = ("store", "staging", "source", "resumeFrom")
    fixed = tuple(f"spec.checkpoint.{part}" for part in parts)
    silent = [
        path
        for path, schema in _ours(crd).items()
        if path.startswith(".spec.")
        and "properties" not in schema
        and not path.endswith("[]")
        and not path.removeprefix(".").startswith(fixed)
        and not any(said in schema["description"] for said in ("Immutable.", "A change takes"))
    ]
    assert silent == []
    for path, schema in _ours(crd).items():
        if schema.get("description", "").endswith("Immutable."):
            assert f"{path.removeprefix('.')} is immutable" in {rule.name for rule in JOB}


@pytest.mark.parametrize("crd", [JOB_CRD, POLICY_CRD], ids=["job", "policy"])
def test_every_list_text_and_number_of_ours_is_bounded(crd: Json) -> None:
    bounds = {
        "array": {"maxItems"},
        "string": {"maxLength", "enum", "format"},
        "integer": {"minimum"},
        "number": {"minimum"},
    }
    unbounded = {
        path
        for path, schema in _ours(crd).items()
        if schema.get("type") in bounds and not bounds[schema["type"]] & schema.keys()
    }
    # An exit code is whatever the kernel gives; the other two are the server's own.
    codes = {f".status.ranks[].{end}.exitCode" for end in ("ended", "trainerEnd")}
    assert unbounded - codes == {".apiVersion", ".kind"}


@pytest.mark.parametrize("rule", [*JOB, *POLICY], ids=lambda rule: rule.name)
def test_every_list_on_the_way_to_a_rule_is_bounded(rule: Rule) -> None:
    root = _root(JOB_CRD if rule in JOB else POLICY_CRD)
    parts = rule.at.split("[]")
    lists = ["[]".join(parts[: end + 1]) for end in range(len(parts) - 1)]
    assert all("maxItems" in field_schema(root, path) for path in lists)


def test_rules_have_names_of_their_own() -> None:
    for rules in (JOB, POLICY):
        assert len({rule.name for rule in rules}) == len(rules)


def test_every_rule_is_broken_by_a_manifest() -> None:
    broken = [row.rule for row in (*refused.JOBS, *refused.SCRIPTS, *UPDATES, *refused.POLICIES)]
    assert set(broken) == {rule.name for rule in (*JOB, *POLICY)}
    assert len(broken) >= 40


def test_messages_name_the_remedy_in_a_line() -> None:
    verbs = ("write", "choose", "leave", "use", "name", "mount", "grant", "create", "with several")
    for rule in (*JOB, *POLICY):
        assert any(verb in rule.message for verb in verbs), rule.message
        assert len(rule.message) <= 200
        assert "\n" not in rule.message


def test_the_template_is_that_of_kubernetes() -> None:
    template = dict(_fields(field_schema(_root(JOB_CRD), "spec.template"), ""))
    limits = template[".spec.containers[].resources.limits{}"]
    assert limits["x-kubernetes-preserve-unknown-fields"] is True
    assert template[".spec.containers[].livenessProbe.httpGet.port"]["x-kubernetes-int-or-string"]
    assert template[".spec.containers[].env"]["x-kubernetes-list-map-keys"] == ["name"]
    metas = [path for path in template if path.endswith(("etadata", "emplate.metadata"))]
    assert len(metas) == 2
    assert all(set(template[path]["properties"]) == {"labels", "annotations"} for path in metas)
    assert ".spec.ephemeralContainers" not in template


def test_the_template_adds_no_value_but_what_a_map_key_needs() -> None:
    template = dict(_fields(field_schema(_root(JOB_CRD), "spec.template"), ""))
    filled = {path for path, schema in template.items() if "default" in schema}
    assert filled == {
        f".spec.{kind}[].ports[].protocol" for kind in ("containers", "initContainers")
    }
    for path, schema in template.items():
        for key in schema.get("x-kubernetes-list-map-keys", ()):
            items = schema["items"]
            given = key in items.get("required", ()) or "default" in items["properties"][key]
            assert given, f"{path} may lack its key {key}"


def test_descriptions_of_the_template_are_one_sentence() -> None:
    template = _fields(field_schema(_root(JOB_CRD), "spec.template"), "")
    long = [path for path, schema in template if len(schema.get("description", "")) > 500]
    assert long == []
