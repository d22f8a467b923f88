"""SPOT_CONFIG: what is read, what is refused, and what the refusal says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kit.sidecar import a_config, a_pod
from spot_sidecar.config.spot_config import ConfigError, parse_config, read_settings


def changed(**fields: Any) -> str:
    config = a_config()
    for path, value in fields.items():
        *parents, last = path.split("__")
        place = config
        for parent in parents:
            place = place[parent]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return json.dumps(config)


def test_what_the_operator_renders_is_read(tmp_path: Path) -> None:
    with a_pod(tmp_path, attempt=3, with_operator=False) as pod:
        settings = pod.settings()
    assert settings.config.attempt == 3
    assert settings.config.store.s3 is not None
    assert settings.config.store.s3.bucket == "checkpoints"
    assert settings.config.staging_bytes == 64 * 2**20
    assert settings.pod.node == "node-a"
    assert settings.paths.socket == tmp_path / "shared" / "sidecar.sock"


def test_fields_of_a_newer_operator_are_left_alone() -> None:
    assert parse_config(changed(novelty={"x": 1})).attempt == 1


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (None, "SPOT_CONFIG is not set"),
        ("{", "not JSON"),
        ("[]", "version None"),
        (changed(version=3), "version 3"),
        (changed(store__s3__bucket=...), "store.s3.bucket"),
        (changed(store=...), "store"),
        (changed(store={}), "exactly one of s3 and volume"),
        (changed(store__volume={"mount": "/x"}), "exactly one of s3 and volume"),
        (changed(store__s3__addressing="host"), "store.s3.addressing"),
        (changed(attempt=0), "attempt"),
        (changed(rank=1), "rank 1 of 1"),
        (changed(graceSeconds=0), "graceSeconds"),
        (changed(stagingBytes="big"), "stagingBytes"),
        (changed(onNoneValid="Perhaps"), "onNoneValid"),
        (changed(keep={"newest": 2}), "keep.newest"),
        (changed(keep={"milestoneEvery": 0}), "keep.milestoneEvery"),
        (changed(reports__url="http://plain"), "reports.url"),
        (changed(drainToken="short"), "drainToken"),
        (changed(job__uid=""), "job.uid"),
    ],
)
def test_the_message_names_the_field(text: str | None, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        parse_config(text)


def test_a_pod_that_does_not_say_who_it_is_is_refused() -> None:
    environment = {"SPOT_CONFIG": json.dumps(a_config()), "POD_NAME": "p", "NODE_NAME": "n"}
    with pytest.raises(ConfigError, match="POD_UID"):
        read_settings(environment)
