"""Jobs for tests: manifests as a user would write them, and the views made of them."""

from datetime import UTC, datetime
from typing import Any

from spot_operator.api import names
from spot_operator.api.job import JobSpec
from spot_operator.domain.observed.snapshot import JobView

Json = dict[str, Any]

CREATED = datetime(2026, 1, 1, tzinfo=UTC)


def a_template(**spec: Any) -> Json:
    """A pod template with one container; `spec` replaces or adds fields of its pod spec."""
    containers = [{"name": "trainer", "image": "digits:1", "command": ["python", "train.py"]}]
    return {"spec": {"containers": containers, **spec}}


def with_prepare() -> Json:
    """A pod template with an init container and a volume of its own, `prepare` and `scratch`."""
    return a_template(
        initContainers=[{"name": "prepare", "image": "digits:1"}],
        volumes=[{"name": "scratch", "emptyDir": {"sizeLimit": "10Gi"}}],
    )


def a_spec(template: Json | None = None, **spec: Any) -> Json:
    """The spec of a job; `spec` replaces or adds fields."""
    return {
        "template": template or a_template(),
        "checkpoint": {"store": {"s3": {"bucket": "checkpoints"}}},
        **spec,
    }


def a_job_manifest(name: str = "digits", namespace: str = "research", **spec: Any) -> Json:
    """What a user would apply."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.JOB_KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": a_spec(**spec),
    }


def a_job(name: str = "digits", namespace: str = "research", **spec: Any) -> JobView:
    """The view of that job once the API server took it."""
    return JobView(
        uid=f"uid-of-{name}",
        name=name,
        namespace=namespace,
        generation=1,
        resource_version="7",
        spec=JobSpec.model_validate(a_spec(**spec)),
        created_at=CREATED,
    )


def a_script_job(**directory: Any) -> Json:
    """Fields of a spec whose script writes its own checkpoints; for `a_job(**a_script_job())`."""
    source = {"path": "/out", "format": "HuggingFace", "resumeArgs": ["--resume", "{path}"]}
    store = {"s3": {"bucket": "checkpoints"}}
    return {
        "completion": "ExitCode",
        "checkpoint": {"store": store, "source": {"directory": {**source, **directory}}},
    }
