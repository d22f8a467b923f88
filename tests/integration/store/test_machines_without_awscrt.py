"""Where awscrt is missing digests are zlib's CRC-32; what it takes to verify others is said.

Real processes in which `import awscrt` fails, on a directory and on a real S3 server.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kit.stores import S3Server
from spot_training.checkpoint import keys, verify
from spot_training.checkpoint.store import Store
from spot_training.checkpoint.stores.directory import DirectoryStore
from spot_training.checkpoint.stores.s3 import S3Store

STOPPED = 94
SCRIPT = """
import json, os, sys
from pathlib import Path
import numpy as np
if sys.argv[1] == "without":
    sys.modules["awscrt"] = None  # importing it raises ImportError
from spot_training.backends.local import LocalBackend
from spot_training.starting import start
from spot_training.state import TrainingState

folder, store = Path(sys.argv[2]), None
if len(sys.argv) > 3:
    from spot_training.checkpoint.stores.s3 import S3Store
    from spot_training.checkpoint.stores.s3_client import S3Settings
    found = json.loads(sys.argv[3])
    store = S3Store(S3Settings(**{**found, "credentials_dir": Path(found["credentials_dir"])}))
folder.mkdir(exist_ok=True)
w = np.zeros(3_000_000)
run = start(LocalBackend(folder, interval=1000.0, store=store), TrainingState(arrays={"w": w}))
print(json.dumps({"from": run.current_step, "right": bool((w == run.current_step).all())}))
for step in range(run.current_step + 1, run.current_step + 4):
    w[:] = step
    run.step()
assert run.save()
assert run._ticket.wait(30) and run._ticket.committed, run._ticket.why
run._backend.close()
assert ("botocore" in sys.modules) == (len(sys.argv) > 3)
"""


@dataclass(slots=True)
class Place:
    """A lineage that subprocesses train in: on a directory, or on S3."""

    folder: Path
    bucket: str
    s3: S3Server | None

    def store(self) -> Store:
        return S3Store(self.s3.settings(self.bucket)) if self.s3 else DirectoryStore(self.folder)

    def train(self, awscrt: str) -> subprocess.CompletedProcess[str]:
        """Three steps and a save in a process with or without awscrt."""
        argv = [sys.executable, "-c", SCRIPT, awscrt, str(self.folder)]
        if self.s3:
            found = self.s3.settings(self.bucket)
            facts: dict[str, Any] = {
                "bucket": found.bucket, "prefix": found.prefix, "region": found.region,
                "endpoint_url": found.endpoint_url, "credentials_dir": str(found.credentials_dir),
            }  # fmt: skip
            argv.append(json.dumps(facts))
        env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        return subprocess.run(
            argv, env=env, capture_output=True, text=True, timeout=60, check=False
        )

    def goes_on(self, awscrt: str) -> int:
        """The step that such a process resumed from, with the right state."""
        done = self.train(awscrt)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said["right"]
        return int(said["from"])

    def algorithms(self) -> list[str]:
        """Of the objects of every checkpoint, newest first."""
        store = self.store()
        found = [keys.parse_commit(key) for key in store.list(keys.COMMITS)]
        manifests = [verify.read_manifest(store, str(id_)) for id_ in found]
        return [item.algorithm for one in manifests for item in one.objects]


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, server: S3Server, bucket: str) -> Place:
    on_s3 = request.param == "s3"
    return Place(tmp_path / "lineage", bucket, server if on_s3 else None)


def test_it_saves_and_resumes_with_crc32_and_every_machine_goes_on_from_that(place: Place) -> None:
    assert place.goes_on("without") == 0
    assert place.goes_on("without") == 3
    assert place.goes_on("with") == 6
    assert place.algorithms() == ["crc64nvme", "crc32", "crc32"]


def test_a_checkpoint_it_cannot_verify_stops_it_with_the_remedy(place: Place) -> None:
    assert place.goes_on("with") == 0
    before = place.store().list(keys.DATA)
    refused = place.train("without")
    assert refused.returncode == STOPPED
    assert "crc64nvme" in refused.stderr
    assert "pip install 'spot-training[fast]'" in refused.stderr
    store = place.store()
    assert store.list(keys.DATA) == before
    assert store.list(keys.TOMBSTONES) == store.list(keys.POSTS) == ()
    assert place.goes_on("with") == 3
