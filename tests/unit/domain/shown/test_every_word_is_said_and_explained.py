"""Reasons, endings and events: what is documented occurs, and what occurs is documented.

`kit.scenes` has a moment for each word; docs/reasons.md has its line. A word that nothing says, or
that no page explains, fails here.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from gen_crds import manifests
from kit.scenes import SCENES, Said, said_in_all
from spot_operator import app
from spot_operator.api import names
from spot_operator.api.events import Event, SidecarEvent
from spot_operator.api.names import Condition, Ending, Reason

ROOT = Path(app.__file__).parents[2]
PAGE = ROOT / "docs" / "reasons.md"
SIDECAR = ROOT / "trainer-sidecar" / "spot_sidecar"
BESIDE_PLANS = {
    Event.POD_WARNING,
    Event.WRITES_REFUSED,
    Event.UNREADABLE_STATUS,
    Event.RELEASED,
}
"""Told when a write was answered, where there is no plan, and before an uninstall."""
CAMEL = re.compile(r"\b[A-Z][a-z]+(?:[A-Z][a-z0-9]+)+\b")


@pytest.fixture(scope="module")
def said() -> Said:
    return said_in_all(SCENES.values())


def table(heading: str) -> list[tuple[str, ...]]:
    """The cells of the table below that heading, without backticks."""
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return [tuple(cell.strip(" `|") for cell in row) for row in rows[2:]]


def test_every_reason_is_said_and_no_other(said: Said) -> None:
    reasons = {reason for _, _, reason in said.conditions}
    assert set(Reason) - reasons == set(), "documented, and never said"
    assert reasons - set(Reason) - set(Ending) == set()


def test_every_condition_is_said(said: Said) -> None:
    assert {kind for kind, _, _ in said.conditions} == set(Condition)


def test_every_ending_is_said_and_no_other(said: Said) -> None:
    assert set(Ending) - said.endings == set(), "documented, and never said"
    assert said.endings - set(Ending) <= {Reason.NO_PROGRESS}


def test_every_event_is_told_and_no_other(said: Said) -> None:
    told = {reason for _, reason in said.events}
    by_sidecars = set(Event) & told_by_sidecars()
    assert set(Event) - told - by_sidecars - BESIDE_PLANS == set(), "documented, and never told"
    assert told - set(Event) == set()


def test_what_is_told_beside_plans_is_told_somewhere() -> None:
    source = "".join(path.read_text() for path in Path(app.__file__).parent.rglob("*.py"))
    assert [one for one in BESIDE_PLANS if f"Event.{one.name}" not in source] == []


def test_the_page_has_every_row_of_the_conditions_and_no_other(said: Said) -> None:
    written = {tuple(row[:3]) for row in table("Conditions")}
    assert written - said.conditions == set(), "explained, and never said"
    assert said.conditions - written == set(), "said, and explained nowhere"


def test_the_page_has_every_ending() -> None:
    assert {row[0] for row in table("Endings")} == set(Ending) | {Reason.NO_PROGRESS}


def test_the_page_has_every_event_and_its_type(said: Said) -> None:
    written = {(row[1], row[0]) for row in table("Events")}
    beside = {
        one for one in written if one[1] in told_by_sidecars() | BESIDE_PLANS | {SidecarEvent.NOTE}
    }
    assert written - said.events - beside == set(), "explained, and never told"
    assert said.events - written == set(), "told, and explained nowhere"
    explained = {event for _, event in written}
    assert set(SidecarEvent) - explained == set(), "a sidecar's reason, and explained nowhere"
    assert told_by_sidecars() - explained == set(), "told by a sidecar, and explained nowhere"
    assert BESIDE_PLANS - explained == set()


def test_what_is_explained_says_something() -> None:
    rows = (*table("Conditions"), *table("Endings"), *table("Events"))
    assert [row for row in rows if len(row[-1]) < 12] == []


def test_kubectl_explain_promises_no_word_that_there_is_not() -> None:
    known = {*Reason, *Ending, *Event, *Condition, *_values(), *KUBERNETES, *OURS}
    promised = {word for text in _descriptions() for word in CAMEL.findall(text)}
    assert promised - known == set()
    assert {"FailuresExhausted", "InterruptionsExhausted", "NoProgress"} <= promised


KUBERNETES = {"ConfigMap", "DisruptionTarget", "PersistentVolumeClaim", "ReadWriteMany"}
OURS = {names.JOB_KIND, names.POLICY_KIND, "CamelCase", "NotMeasured", "MaxLostWork"}
"""Kinds, and what decided an interval."""


@cache
def told_by_sidecars() -> frozenset[str]:
    """The reasons of events in the sidecar's source: the first argument of `note` and `_warn`."""
    trees = [ast.parse(path.read_text()) for path in SIDECAR.rglob("*.py")]
    constants = dict(one for tree in trees for one in _constants(tree))
    words = (word for tree in trees for word in _noted(tree))
    return frozenset(constants.get(word, word) for word in words)


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for one in tree.body:
        if isinstance(one, ast.Assign) and isinstance(one.value, ast.Constant):
            yield ast.unparse(one.targets[0]), str(one.value.value)


def _noted(tree: ast.Module) -> Iterator[str]:
    for call in ast.walk(tree):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.args):
            continue
        word = ast.unparse(call.args[0]).strip("'")
        if call.func.attr in {"note", "_warn"} and re.fullmatch("[A-Z]\\w+", word):
            yield word


def _crds() -> Iterator[tuple[str, dict[str, Any]]]:
    def fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        yield path, schema
        for name, child in schema.get("properties", {}).items():
            yield from fields(child, f"{path}.{name}")
        if "items" in schema:
            yield from fields(schema["items"], f"{path}[]")

    for crd in manifests().values():
        root = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        yield from (one for one in fields(root, "") if not one[0].startswith(".spec.template."))


def _descriptions() -> Iterator[str]:
    return (schema.get("description", "") for _, schema in _crds())


def _values() -> set[str]:
    """The values that fields may have."""
    return {value for _, schema in _crds() for value in schema.get("enum", ()) if value}
