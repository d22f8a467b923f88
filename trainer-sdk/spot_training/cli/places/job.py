"""The lineage of a SpotTrainingJob: kubectl tells where it is, with the user's own permissions.

kubectl and not a client library: it knows every kubeconfig and login plugin, and the SDK needs
nothing more installed for it.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

from spot_training.checkpoint.keys import lineage_prefix
from spot_training.checkpoint.retention import NEWEST, Keep
from spot_training.cli.codes import Refusal, unseen
from spot_training.cli.places import bucket
from spot_training.cli.places.place import Access, Place

_SECONDS = 30
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")

Kubectl = Callable[[list[str]], Any]


def open_job(name: str, access: Access, kubectl: Kubectl | None = None) -> Place:
    """The lineage of job `name`; its Secret is read only with `access.secret`."""
    ask = kubectl or _kubectl(access)
    job = ask(["get", "spottrainingjobs.spottraining.dev", name])
    metadata, store = job["metadata"], job["spec"]["checkpoint"]["store"]
    s3 = store.get("s3")
    if s3 is None:
        raise Refusal(_in_a_volume(metadata, store.get("volume", {})))
    if access.secret:
        _take_credentials(ask, s3)
    path = lineage_prefix(
        s3.get("prefix", ""), metadata["namespace"], metadata["name"], metadata["uid"]
    )
    place = bucket.connect(s3["bucket"], path.strip("/"), _completed(access, s3), _suspects(job))
    return dataclasses.replace(place, keep=_keep(job))


def _completed(access: Access, s3: Mapping[str, Any]) -> Access:
    """What the command line says wins: the store may have another address from here."""
    return Access(
        endpoint_url=access.endpoint_url or s3.get("endpointURL"),
        region=access.region or s3.get("region"),
        profile=access.profile,
        ca=access.ca,
    )


def _suspects(job: Mapping[str, Any]) -> tuple[str, ...]:
    found = job.get("status", {}).get("checkpoint", {}).get("suspects", [])
    return tuple(item if isinstance(item, str) else item["id"] for item in found)


def _keep(job: Mapping[str, Any]) -> Keep:
    asked = job["spec"]["checkpoint"].get("keep", {})
    every = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", asked.get("milestoneEvery", ""))
    hours, minutes, seconds = (int(part or 0) for part in every.groups()) if every else (0, 0, 0)
    return Keep(asked.get("newest", NEWEST), hours * 3600 + minutes * 60 + seconds or None)


def _in_a_volume(metadata: Mapping[str, Any], volume: Mapping[str, Any]) -> str:
    path = lineage_prefix(
        volume.get("path", ""), metadata["namespace"], metadata["name"], metadata["uid"]
    )
    return (
        f"job {metadata['name']} keeps its checkpoints in the volume claim "
        f"{volume.get('claimName')}, which only pods can mount: run this command in a pod that "
        f"mounts it, with WHERE = <mount path>/{path.rstrip('/')}"
    )


def _take_credentials(ask: Kubectl, s3: Mapping[str, Any]) -> None:
    name = s3.get("credentialsSecretName")
    if not name:
        raise Refusal("the job's store names no Secret; leave --use-secret out")
    data = ask(["get", "secret", name]).get("data", {})
    for key in _KEYS:
        os.environ.pop(key, None)
        if key in data:
            os.environ[key] = base64.b64decode(data[key]).decode("ascii").strip()


def _kubectl(access: Access) -> Kubectl:
    where = ["-n", access.namespace] if access.namespace else []
    where += ["--context", access.context] if access.context else []

    def ask(arguments: list[str]) -> Any:
        command = ["kubectl", *where, *arguments, "-o", "json"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except FileNotFoundError:
            raise unseen("a job is found with kubectl, which is not installed here") from None
        except subprocess.TimeoutExpired:
            raise unseen(f"the cluster did not answer within {_SECONDS} s") from None
        if done.returncode != 0:
            raise unseen(f"kubectl: {done.stderr.strip()}")
        return json.loads(done.stdout)

    return ask
