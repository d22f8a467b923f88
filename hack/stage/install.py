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

from stage.bucket import Bucket
from stage.kube import Kube

Object = dict[str, Any]
PROJECT = Path(__file__).resolve().parents[2]
OPERATOR_NAMESPACE = "spot-training"
NAMESPACE = "research"
SECRET = "store"  # noqa: S105 (the name of the Secret)
OPERATOR, SIDECAR, DIGITS = (
    f"spot-training-{name}:dev" for name in ("operator", "sidecar", "digits")
)


@dataclass(frozen=True)
class Stage:
    """A cluster where jobs can be applied, and where its images and programs are."""

    cluster: Cluster
    kube: Kube
    operators: Kube
    bucket: Bucket

    def job(self, manifest: Path | Object, name: str, **changes: Any) -> Object:
        """A job of this cluster: the manifest with its name, image and store put in.

        `changes` are merged into the spec, key by key.
        """
        read = yaml.safe_load(manifest.read_text()) if isinstance(manifest, Path) else manifest
        job: Object = json.loads(json.dumps(read))
        job["metadata"]["name"] = name
        s3 = self.cluster.s3
        job["spec"]["checkpoint"]["store"]["s3"] |= {
            "bucket": s3.bucket,
            "endpointURL": s3.endpoint,
            "region": s3.region,
            "credentialsSecretName": SECRET,
        }
        return merged(job, {"spec": changes})


@contextmanager
def stage(
    programs: Path, images: Path, *, cluster_id: str, tell: Tell = silent, **cluster: Any
) -> Iterator[Stage]:
    """The stage, gone with all it made at the end; `programs` and `images` are the cache's."""
    archives = [images / f"{name}.tar" for name in ("operator", "sidecar", "digits")]
    with Cluster.up(cluster_id, images=archives, tell=tell, **cluster) as up:
        install(up, programs)
        kubectl = programs / "kubectl"
        s3 = up.s3
        ready = Stage(
            up,
            Kube(kubectl, up.kubeconfig, NAMESPACE),
            Kube(kubectl, up.kubeconfig, OPERATOR_NAMESPACE),
            Bucket(s3.endpoint, s3.access_key, s3.secret_key, s3.bucket),
        )
        add_namespace(ready, NAMESPACE)
        yield ready


def install(cluster: Cluster, programs: Path) -> None:
    """`helm install` with the images of this checkout; returns when both replicas are ready.

    Raises CalledProcessError with helm's words when it refuses.
    """
    chart = PROJECT / "charts/spot-training-operator"
    values = {
        "image.repository": OPERATOR.split(":", maxsplit=1)[0],
        "image.tag": "dev",
        "sidecar.image.repository": SIDECAR.split(":", maxsplit=1)[0],
        "sidecar.image.tag": "dev",
    }
    chosen = [argument for key, value in values.items() for argument in ("--set", f"{key}={value}")]
    subprocess.run(
        [
            *(str(programs / "helm"), "install", "spot-training-operator", str(chart)),
            *("--kubeconfig", str(cluster.kubeconfig), "--namespace", OPERATOR_NAMESPACE),
            *("--create-namespace", "--wait", "--timeout", "180s", *chosen),
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
