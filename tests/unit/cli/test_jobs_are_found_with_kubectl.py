import os
from collections.abc import Mapping
from typing import Any

import pytest
from spot_training.checkpoint.retention import Keep
from spot_training.cli.codes import Refusal
from spot_training.cli.places import bucket, job
from spot_training.cli.places.place import Access, Place

S3 = {
    "bucket": "training", "prefix": "teams/vision", "endpointURL": "http://store:9000",
    "credentialsSecretName": "store-keys",
}  # fmt: skip


def a_job(store: Mapping[str, Any], keep: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "vision", "name": "digits", "uid": "u-1"},
        "spec": {"checkpoint": {"store": dict(store), "keep": dict(keep or {})}},
        "status": {"checkpoint": {"suspects": ["a00000001-s000000000001-0123abcd"]}},
    }


class Cluster:
    """Answers as kubectl would."""

    def __init__(self, store: Mapping[str, Any], keep: Mapping[str, Any] | None = None) -> None:
        self.asked: list[list[str]] = []
        self._job = a_job(store, keep)

    def __call__(self, arguments: list[str]) -> Any:
        self.asked.append(arguments)
        if arguments[1] == "secret":
            return {"data": {"AWS_ACCESS_KEY_ID": "a2V5", "AWS_SECRET_ACCESS_KEY": "c2VjcmV0"}}
        return self._job


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []

    def connect(*arguments: Any) -> Place:
        calls.append(arguments)
        return Place("s3", store=None)  # type: ignore[arg-type]  # nobody reads it

    monkeypatch.setattr(bucket, "connect", connect)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "before")
    return calls


@pytest.mark.parametrize(
    ("asked", "keep"),
    [
        ({}, Keep()),
        ({"newest": 5}, Keep(5)),
        ({"newest": 3, "milestoneEvery": "1h30m"}, Keep(3, 5400.0)),
    ],
)
def test_what_the_job_keeps_is_known(opened: list[Any], asked: dict[str, Any], keep: Keep) -> None:
    place = job.open_job("digits", Access(), Cluster({"s3": S3}, asked))
    assert place.keep == keep
    assert len(opened) == 1


def test_the_lineage_is_below_prefix_namespace_name_and_uid(opened: list[Any]) -> None:
    cluster = Cluster({"s3": S3})
    job.open_job("digits", Access(namespace="vision"), cluster)
    ((name, path, access, suspects),) = opened
    assert (name, path) == ("training", "teams/vision/vision/digits/u-1")
    assert access.endpoint_url == "http://store:9000"
    assert suspects == ("a00000001-s000000000001-0123abcd",)
    assert cluster.asked == [["get", "spottrainingjobs.spottraining.dev", "digits"]]


def test_the_command_line_knows_the_stores_address_better(opened: list[Any]) -> None:
    job.open_job("digits", Access(endpoint_url="http://127.0.0.1:9"), Cluster({"s3": S3}))
    assert opened[0][2].endpoint_url == "http://127.0.0.1:9"


def test_the_secret_is_read_only_when_asked(
    opened: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster({"s3": S3})
    job.open_job("digits", Access(secret=True), cluster)
    assert cluster.asked[1] == ["get", "secret", "store-keys"]
    assert (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]) == (
        "key", "secret",
    )  # fmt: skip
    assert "AWS_SESSION_TOKEN" not in os.environ


def test_a_store_without_a_secret_says_so() -> None:
    with pytest.raises(Refusal, match="leave --use-secret out"):
        job.open_job("digits", Access(secret=True), Cluster({"s3": {"bucket": "b"}}))


def test_a_volume_is_read_where_it_is_mounted() -> None:
    volume = {"volume": {"claimName": "data", "path": "runs"}}
    with pytest.raises(Refusal, match=r"claim data.*<mount path>/runs/vision/digits/u-1"):
        job.open_job("digits", Access(), Cluster(volume))


def test_without_kubectl_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Refusal, match="kubectl, which is not installed") as refused:
        job.open_job("digits", Access())
    assert refused.value.code == 3
