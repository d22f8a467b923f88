"""A cluster with the operator in it, as an administrator sets it up: images, helm, a namespace."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cluster.cluster import Cluster
from cluster.progress import Tell, silent
from toolchain.layout import Cache
from toolchain.records import ImageRecord, read_record

from stage.bucket import Bucket
from stage.kube import Kube

Object = dict[str, Any]
PROJECT = Path(__file__).resolve().parents[2]
OPERATOR_NAMESPACE = "spot-training"
RELEASE = "spot-training-operator"
NAMESPACE = "research"
SECRET = "store"  # noqa: S105 (the name of the Secret)
IMAGES = ("operator", "sidecar", "digits")
TRAINER_IMAGE = "put-in-by-the-stage"
EXAMPLE_IMAGE = "spot-training-digits:dev"
"""Stand in manifests for the image of examples/digits, whose tag is a digest of its inputs."""


@dataclass(frozen=True)
class Stage:
    """A cluster where jobs can be applied, and where its images and programs are."""

    cluster: Cluster
    kube: Kube
    operators: Kube
    bucket: Bucket
    trainer_image: str

    def job(self, manifest: Path | Object, name: str, **changes: Any) -> Object:
        """A job of this cluster: the manifest with its name, image and store put in.

        `changes` are merged into the spec, key by key.
        """
        read = yaml.safe_load(manifest.read_text()) if isinstance(manifest, Path) else manifest
        job: Object = json.loads(json.dumps(read))
        job["metadata"]["name"] = name
        for container in job["spec"]["template"]["spec"]["containers"]:
            if container["image"] in {TRAINER_IMAGE, EXAMPLE_IMAGE}:
                container["image"] = self.trainer_image
        s3 = self.cluster.s3
        job["spec"]["checkpoint"]["store"]["s3"] |= {
            "bucket": s3.bucket,
            "endpointURL": s3.endpoint,
            "region": s3.region,
            "credentialsSecretName": SECRET,
        }
        return merged(job, {"spec": changes})


@contextmanager
def stage(cache: Cache, *, cluster_id: str, tell: Tell = silent, **cluster: Any) -> Iterator[Stage]:
    """The stage, gone with all it made at the end; what a killed run left is replaced.

    Raises FileNotFoundError when an image was not built (`make images`).
    """
    images = {name: built(cache, name) for name in IMAGES}
    archives = [image.archive for image in images.values()]
    with Cluster.up(cluster_id, images=archives, tell=tell, replace=True, **cluster) as up:
        install(up, cache, images)
        kubectl = cache.bin / "kubectl"
        s3 = up.s3
        ready = Stage(
            up,
            Kube(kubectl, up.kubeconfig, NAMESPACE),
            Kube(kubectl, up.kubeconfig, OPERATOR_NAMESPACE),
            Bucket(s3.endpoint, s3.access_key, s3.secret_key, s3.bucket),
            images["digits"].reference,
        )
        add_namespace(ready, NAMESPACE)
        yield ready


def built(cache: Cache, name: str) -> ImageRecord:
    """The image as it was built last; raises FileNotFoundError when it never was."""
    record = read_record(cache, name)
    if record is None:
        raise FileNotFoundError(f"the image {name} is not built; run: make images")
    return record


def install(
    cluster: Cluster,
    cache: Cache,
    images: dict[str, ImageRecord],
    *,
    namespace: str = OPERATOR_NAMESPACE,
    options: tuple[str, ...] = ("--wait",),
) -> None:
    """`helm install` with the images of this checkout; by `--wait` until every replica is ready.

    Raises CalledProcessError with helm's words when it refuses.
    """
    chart = PROJECT / "charts/spot-training-operator"
    values: dict[str, str] = {}
    for name, prefix in (("operator", ""), ("sidecar", "sidecar.")):
        repository, _, tag = images[name].reference.rpartition(":")
        values |= {f"{prefix}image.repository": repository, f"{prefix}image.tag": tag}
    chosen = [argument for key, value in values.items() for argument in ("--set", f"{key}={value}")]
    subprocess.run(
        [
            *(str(cache.bin / "helm"), "install", RELEASE, str(chart)),
            *("--kubeconfig", str(cluster.kubeconfig), "--namespace", namespace),
            *("--create-namespace", "--timeout", "180s", *options, *chosen),
        ],
        check=True,
        timeout=240,
        stdout=subprocess.DEVNULL,
    )


def add_namespace(ready: Stage, name: str) -> Kube:
    """A namespace with the Secret that holds the store's keys."""
    kube = Kube(ready.kube.program, ready.kube.kubeconfig, name)
    keys = {
        "AWS_ACCESS_KEY_ID": ready.cluster.s3.access_key,
        "AWS_SECRET_ACCESS_KEY": ready.cluster.s3.secret_key,
    }
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": name},
            "stringData": keys,
        }
    )
    return kube


def merged(base: Object, change: Object) -> Object:
    """A JSON merge patch applied to a copy: dicts key by key, everything else replaced."""
    result = dict(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result
