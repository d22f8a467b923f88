"""A cluster where releases come and go: the operator of the other scenarios must stay."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from stage.install import Stage, stage
from toolchain.layout import Cache, cache_from


@pytest.fixture(scope="session")
def cache() -> Cache:
    return cache_from(os.environ)


@pytest.fixture(scope="package")
def own(cache: Cache) -> Iterator[Stage]:
    """It has one release, which watches every namespace."""
    with stage(cache, cluster_id="gone", grace_seconds=12) as ready:
        yield ready
