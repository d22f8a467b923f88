"""`spot-training checkpoints` on a real S3 server."""

import json
from pathlib import Path

import pytest
from kit.checkpoints import an_id, commit_checkpoint
from kit.commands import Shell, flip
from kit.stores import ACCESS, SECRET, S3Server
from safetensors.numpy import load_file
from spot_training.checkpoint import keys, verify
from spot_training.checkpoint.stores.s3 import S3Store

AT = "2026-01-02T03:04:05.000000Z"
UNSEEN = 3


@pytest.fixture
def shell(
    server: S3Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return Shell(capsys)


@pytest.fixture
def url(server: S3Server, bucket: str) -> str:
    """A lineage of two checkpoints."""
    store = S3Store(server.settings(bucket))
    verify.open_lineage(store, created_at=AT)
    for step in (1, 2):
        commit_checkpoint(store, step=step)
    store.close()
    return f"s3://{bucket}/team/job/uid"


def test_it_lists_verifies_pins_exports_and_deletes(shell: Shell, url: str, tmp_path: Path) -> None:
    assert [line.split()[:2] for line in shell("checkpoints", "ls", url).lines] == [
        ["CHECKPOINT", "STATE"], ["a1-s2", "committed"], ["a1-s1", "committed"],
    ]  # fmt: skip
    assert "arrays/w  F32    [64,64]" in shell("checkpoints", "show", url, "newest").out
    verified = shell("checkpoints", "verify", url, "--all")
    assert (verified.code, verified.lines[-1]) == (0, "2 of 2 verified")
    assert "V2 ok" in verified.lines[0] or "V2 -" in verified.lines[0]
    assert shell("checkpoints", "pin", url, "a1-s1").code == 0
    refused = shell("checkpoints", "rm", url, "a1-s1", "--yes")
    assert (refused.code, "it is pinned" in refused.err) == (1, True)
    assert shell("checkpoints", "unpin", url, "a1-s1").code == 0
    assert shell("checkpoints", "export", url, "a1-s1", "--to", tmp_path).code == 0
    assert float(load_file(tmp_path / "a1-s1.safetensors")["arrays/w"][0, 0]) == 1.0
    assert shell("checkpoints", "rm", url, "a1-s1", "--yes").code == 0
    (left,) = json.loads(shell("checkpoints", "ls", url, "-o", "json").out)
    assert left["id"] == an_id(1, 2)


def test_damage_behind_the_servers_back_is_found_and_buried(
    shell: Shell, url: str, server: S3Server, bucket: str
) -> None:
    path = server.object_path(bucket, keys.data(an_id(1, 2), 0, 0))
    flip(path, path.stat().st_size // 2)
    said = shell("checkpoints", "verify", url, "newest", "--quarantine")
    assert said.code == 1
    assert said.lines[-1] == "quarantined a1-s2"
    assert "quarantined" in shell("checkpoints", "ls", url).lines[1]
    again = shell("checkpoints", "verify", url, "newest")
    assert (again.code, again.lines[0].split()[0]) == (0, "a1-s1")


def test_above_the_lineage_it_says_which_to_name(shell: Shell, url: str, bucket: str) -> None:
    for above in (f"s3://{bucket}", f"s3://{bucket}/team/"):
        said = shell("checkpoints", "ls", above)
        assert said.code == 2
        assert said.err.endswith(f"name one of them:\n  {url}\n")


def test_what_cannot_be_seen_is_neither_good_nor_bad(
    shell: Shell, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = shell("checkpoints", "ls", "s3://no-such-bucket/x")
    assert (missing.code, "bucket does not exist" in missing.err) == (UNSEEN, True)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    denied = shell("checkpoints", "verify", url)
    assert denied.code == UNSEEN
    assert "--profile" in denied.err
    away = shell("checkpoints", "ls", url, "--endpoint-url", "http://127.0.0.1:1")
    assert away.code == UNSEEN
    assert "--endpoint-url" in away.err


def test_a_profile_beats_keys_of_the_environment(
    shell: Shell, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    file.write_text(f"[lab]\naws_access_key_id = {ACCESS}\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    monkeypatch.setenv("AWS_PROFILE", "")
    assert shell("checkpoints", "ls", url, "--profile", "lab").code == 0
