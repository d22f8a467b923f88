"""Every manifest that a document shows is accepted, and every command it names exists."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from integration.crds.world import Api
from integration.crds.documents.commands import (
    Command,
    blocks,
    commands,
    flags,
    known_flags,
    subcommand,
)
from kit.manifests.good import NAMESPACE, a_full_job
from spot_operator.control.errors import AlreadyExists
from spot_operator.control.resource import PODS, Resource
from stage.install import PROJECT, merged
from toolchain.layout import cache_from

pytestmark = pytest.mark.apiserver

Object = dict[str, Any]

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "hack/**/*.md", "*/README.md")
    for path in PROJECT.glob(pattern)
    if path.name != "values.md"
)
SAYINGS = sorted(
    (
        *(PROJECT / "operator/spot_operator").rglob("*.py"),
        *(PROJECT / "charts").rglob("*.txt"),
        *(PROJECT / "charts").rglob("values.yaml"),
    )
)
"""Whose texts name commands outside of documents."""
ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")


def shown() -> Iterator[Any]:
    """Each YAML block of a page, and each manifest of an example."""
    for page in PAGES:
        for number, block in enumerate(blocks(page.read_text(), "yaml"), 1):
            yield pytest.param(block, id=f"{page.relative_to(PROJECT)}-{number}")
    for path in sorted((PROJECT / "examples").rglob("*.yaml")):
        yield pytest.param(path.read_text(), id=str(path.relative_to(PROJECT)))


def whole(part: Object) -> Object:
    """A manifest, or a part of one put into a good job."""
    if "apiVersion" in part:
        return part
    within: Object = part if "spec" in part else {"spec": part}
    return merged(a_full_job(), within)


@pytest.mark.parametrize("text", list(shown()))
async def test_a_manifest_is_accepted(api: Api, text: str) -> None:
    for read in filter(None, yaml.safe_load_all(text)):
        manifest = whole(read)
        manifest["metadata"].setdefault("namespace", NAMESPACE)
        if manifest["kind"] == "Pod":
            # No controller makes it here; admission wants it.
            account = {"metadata": {"name": "default", "namespace": NAMESPACE}}
            with suppress(AlreadyExists):
                await api.client.create(ACCOUNTS, account)
            await api.client.create(PODS, manifest, field_validation="Strict", dry_run=True)
        else:
            if manifest["kind"] == "SpotPolicy":
                manifest["metadata"].pop("namespace")
            await api.tried(manifest)


def named() -> Iterator[Any]:
    """Each command that a page or a message names."""
    seen = set()
    for path in (*PAGES, *SAYINGS):
        for command in commands(path, path.read_text()):
            if command.words not in seen and subcommand(command):
                seen.add(command.words)
                yield pytest.param(command, id=str(command))


@pytest.mark.parametrize("command", list(named()))
def test_a_command_has_the_flags_that_it_is_given(command: Command) -> None:
    known = known_flags(cache_from(os.environ), command.words[0], subcommand(command))
    assert known, f"{command} is not known"
    assert [flag for flag in flags(command) if flag not in known] == []


def test_a_flag_that_does_not_exist_is_found() -> None:
    text = "```sh\nfor pod in $pods; do kubectl -n a drain b \\\n  --emptydir-data -l c=d; done\n```"
    (command,) = commands(Path("page.md"), text)
    known = known_flags(cache_from(os.environ), "kubectl", subcommand(command))
    assert [flag for flag in flags(command) if flag not in known] == ["--emptydir-data"]


def test_the_commands_are_found() -> None:
    """A change of how documents are written must not leave nothing to look at."""
    found = [value.values[0] for value in named()]
    assert len(found) > 30
    names = {subcommand(one)[0] for one in found}
    assert names >= {"apply", "create", "install", "upgrade", "drain", "explain"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        leads = (page.parent / file) if file else page
        assert leads.exists(), target
        if anchor:
            assert anchor in headings(leads.read_text()), target


def test_each_page_is_found_from_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#]+)", (PROJECT / "README.md").read_text()))
    assert {str(path.relative_to(PROJECT)) for path in (PROJECT / "docs").glob("*.md")} == linked


def headings(text: str) -> set[str]:
    """The anchors of a page, as they are made of its headings."""
    lines = re.findall(r"^#+ +(.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.strip().lower()).replace(" ", "-") for line in lines}
