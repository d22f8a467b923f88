"""`spot-training checkpoints … stj/NAME`: kubectl tells where a job's checkpoints are."""

import os
from pathlib import Path

import pytest
from integration.crds.conftest import Kubectl
from integration.crds.world import JOBS, Api
from kit.checkpoints import AT, an_id, commit_checkpoint
from kit.commands import Shell
from kit.manifests.good import NAMESPACE, a_full_job
from kit.stores import ACCESS, SECRET, s3_server
from spot_training.checkpoint import verify
from spot_training.checkpoint.keys import lineage_prefix
from spot_training.checkpoint.stores.s3 import S3Store
from toolchain.layout import cache_from

pytestmark = pytest.mark.apiserver


async def test_a_job_names_its_lineage_and_its_suspects(
    api: Api,
    kubectl: Kubectl,
    served_crds: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shell = Shell(capsys)
    monkeypatch.setenv("KUBECONFIG", served_crds)
    monkeypatch.setenv("PATH", f"{cache_from(os.environ).bin}:{os.environ['PATH']}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "not-these")
    with s3_server(tmp_path) as server:
        server.make_bucket("training")
        job = a_full_job()
        job["spec"]["checkpoint"]["store"] = {
            "s3": {
                "bucket": "training", "prefix": "teams/vision", "endpointURL": server.url,
                "region": "us-east-1", "credentialsSecretName": "store-keys",
            }
        }  # fmt: skip
        stored = await api.created(job)
        name, uid = stored["metadata"]["name"], stored["metadata"]["uid"]
        status = {"checkpoint": {"suspects": [an_id(1, 2)]}}
        await api.client.replace_status(JOBS, {**stored, "status": status})
        prefix = lineage_prefix("teams/vision", NAMESPACE, name, uid)
        store = S3Store(server.settings("training", prefix))
        verify.open_lineage(store, created_at=AT)
        commit_checkpoint(store, step=1)
        commit_checkpoint(store, step=2)
        store.close()

        denied = shell("checkpoints", "ls", "-n", NAMESPACE, f"stj/{name}")
        assert denied.code == 3, denied.err
        kubectl("create", "secret", "generic", "store-keys", "-n", NAMESPACE,
                f"--from-literal=AWS_ACCESS_KEY_ID={ACCESS}",
                f"--from-literal=AWS_SECRET_ACCESS_KEY={SECRET}")  # fmt: skip
        said = shell("checkpoints", "ls", "-n", NAMESPACE, name, "--use-secret")
        assert said.code == 0, said.err
        assert [line.split()[:2] for line in said.lines[1:]] == [
            ["a1-s2", "suspect"], ["a1-s1", "committed"],
        ]  # fmt: skip
    missing = shell("checkpoints", "ls", "-n", NAMESPACE, "nobody")
    assert (missing.code, '"nobody" not found' in missing.err) == (3, True)
