"""A real S3 server for every test of this folder, and an empty bucket for each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.sidecar import BUCKET
from kit.stores import S3Server, s3_server


@pytest.fixture(scope="session")
def s3_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3(s3_of_session: S3Server) -> S3Server:
    """The server, with an empty bucket."""
    shutil.rmtree(s3_of_session.data / BUCKET, ignore_errors=True)
    s3_of_session.make_bucket(BUCKET)
    return s3_of_session


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose socket path is short enough (108 bytes)."""
    return tmp_path
