"""What decides whether an image is built again, and what its build is given."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from toolchain.context import context_key, copy_context, read_context
from toolchain.dockerfile import context_sources, declared_arguments
from toolchain.errors import MissingError, ToolchainError
from toolchain.images import build_arguments, host_mounts
from toolchain.pip_settings import pip_settings, settings_in

DOCKERFILE = """\
# COPY commented /out
ARG BASE=python:3.11-slim
FROM ${BASE} AS build
ARG PIP_CERT PIP_INDEX_URL
COPY requirements/app.txt \\
     ./src/ /build/
COPY --from=build /opt /opt
copy --chown=1:1 --chmod=755 tools/*.py /tools/
ADD ["data file.json", "/data/"]
COPY src /again
RUN echo COPY nothing /here
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with a Dockerfile that copies src and run.sh."""
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    (root / "Dockerfile").write_text("FROM base\nCOPY src run.sh /app/\n")
    (root / ".gitignore").write_text("*.pyc\n")
    (root / "src/a.py").write_text("a = 1\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    return root


def key_of(project: Path, *also: str) -> str:
    return context_key(read_context(project, "Dockerfile"), also)


def test_sources_are_what_copy_and_add_read_from_the_context() -> None:
    assert context_sources(DOCKERFILE) == [
        "requirements/app.txt",
        "src",
        "tools/*.py",
        "data file.json",
    ]


@pytest.mark.parametrize(
    "line",
    ["ADD https://example.org/x /x", "COPY ../x /x", "COPY $X /x", "COPY <<EOF /x", "COPY /x /x"],
)
def test_a_source_that_cannot_be_followed_is_refused(line: str) -> None:
    with pytest.raises(ToolchainError, match="name paths inside the repository"):
        context_sources(f"FROM base\n{line}\n")


def test_declared_arguments_are_the_names_after_arg() -> None:
    assert declared_arguments(DOCKERFILE) == {"BASE", "PIP_CERT", "PIP_INDEX_URL"}


def test_the_key_is_the_same_while_nothing_changes(project: Path) -> None:
    before = key_of(project)
    os.utime(project / "src/a.py", (0, 0))
    (project / "elsewhere.py").write_text("not copied\n")
    (project / "src/a.pyc").write_bytes(b"ignored by git")
    assert key_of(project) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "src/a.py").write_text("a = 2\n"),
        lambda root: (root / "src/b.py").write_text(""),
        lambda root: (root / "src/a.py").rename(root / "src/c.py"),
        lambda root: (root / "run.sh").chmod(0o755),
        lambda root: (root / "Dockerfile").write_text("FROM base\nCOPY run.sh src /app/\n"),
    ],
    ids=["content", "new file", "name", "mode", "Dockerfile"],
)
def test_the_key_changes_with_every_input(project: Path, change: Callable[[Path], object]) -> None:
    before = key_of(project)
    change(project)
    assert key_of(project) != before


def test_the_key_covers_what_the_image_stands_on(project: Path) -> None:
    assert key_of(project, "base-1") != key_of(project, "base-2")


def test_the_builder_gets_exactly_the_files_of_the_key(project: Path, tmp_path: Path) -> None:
    (project / "src/a.pyc").write_bytes(b"ignored by git")
    copy_context(read_context(project, "Dockerfile"), tmp_path / "out")
    copied = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.*"))
    assert copied == [Path("run.sh"), Path("src/a.py")]


def test_a_copied_path_that_holds_nothing_is_named(project: Path) -> None:
    (project / "Dockerfile").write_text("FROM base\nCOPY sources /app/\n")
    with pytest.raises(MissingError, match="Dockerfile copies sources, where git knows no file"):
        read_context(project, "Dockerfile")


def test_only_declared_arguments_are_passed() -> None:
    bases = {"BASE": "localhost/base:1", "BUILD_BASE": "localhost/build:1"}
    pip = {"PIP_INDEX_URL": "https://index.example.org"}
    assert build_arguments({"BASE", "OTHER"}, bases, pip) == {"BASE": "localhost/base:1"}
    assert build_arguments({"PIP_INDEX_URL", "PIP_CERT"}, bases, pip) == {
        "PIP_INDEX_URL": "https://index.example.org",
        "PIP_CERT": "/etc/ssl/certs/ca-certificates.crt",
    }


def test_local_paths_that_pip_uses_are_mounted(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    pip = {
        "PIP_CERT": str(tmp_path / "ca.pem"),
        "PIP_FIND_LINKS": f"https://links.example.org {tmp_path} /does/not/exist",
    }
    assert host_mounts(pip) == ["/etc/ssl/certs", str(tmp_path / "ca.pem"), str(tmp_path)]
    assert host_mounts({"PIP_CERT": "/etc/ssl/certs/ca-certificates.crt"}) == ["/etc/ssl/certs"]


def test_pips_files_are_read_in_its_order() -> None:
    machine = "[global]\nindex-url = https://machine\ntimeout = 5\ncert = /ca.pem\n"
    user = "[global]\nindex-url = https://user\n[install]\nfind-links =\n  /a\n  /b\n"
    assert settings_in([machine, user]) == {
        "PIP_INDEX_URL": "https://user",
        "PIP_CERT": "/ca.pem",
        "PIP_FIND_LINKS": "/a /b",
    }


def test_the_environment_beats_pips_files(tmp_path: Path) -> None:
    named = tmp_path / "pip.conf"
    named.write_text("[global]\nindex-url = https://%%file\nextra-index-url = https://extra\n")
    environ = {
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": str(named),
        "PIP_INDEX_URL": "https://environment",
    }
    found = pip_settings(environ)
    assert found["PIP_INDEX_URL"] == "https://environment"
    assert found["PIP_EXTRA_INDEX_URL"] == "https://extra"
