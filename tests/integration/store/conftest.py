import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.stores import S3Server, s3_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One real S3 server for all tests; each test has its own bucket."""
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    folder = tmp_path_factory.mktemp("s3")
    with s3_server(folder) as found:
        yield found
    shutil.rmtree(folder)  # gigabytes of random objects are of no use afterwards


@pytest.fixture
def bucket(server: S3Server, tmp_path: Path) -> str:
    name = "b" + str(abs(hash(str(tmp_path))))
    server.make_bucket(name)
    return name
