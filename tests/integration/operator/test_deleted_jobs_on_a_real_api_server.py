"""`deletionPolicy: Delete` on a real API server: finalizer, purge pod, event, and the job's end.

Nothing but the server runs here: what a kubelet would write of a pod, the tests write.
"""

import json
from typing import Any

import pytest
from integration.operator.conftest import MakeOperator
from integration.operator.process import wait_until
from integration.operator.test_the_process_on_a_real_api_server import wait_for_leader
from kit.jobs import a_job_manifest
from spot_operator.api.names import FINALIZER
from stage.kube import Kube

pytestmark = pytest.mark.apiserver

Json = dict[str, Any]


def a_job_that_takes_its_checkpoints_along(name: str) -> Json:
    store = {"volume": {"claimName": "ckpt"}}
    return a_job_manifest(name, checkpoint={"store": store, "deletionPolicy": "Delete"})


def finalizers(kube: Kube, name: str) -> list[str]:
    job = kube.get("stj", name)
    found: list[str] = (job or {}).get("metadata", {}).get("finalizers", [])
    return found


def begin(kube: Kube, name: str) -> None:
    """A job with its first pod, held."""
    kube.apply(a_job_that_takes_its_checkpoints_along(name))
    wait_until(lambda: kube.get("pod", f"{name}-1-0") is not None, "pod")
    assert finalizers(kube, name) == [FINALIZER]


def end(kube: Kube, pod: str, code: int, **word: Any) -> None:
    """What the kubelet writes when the container has exited."""
    found = kube.get("pod", pod)
    assert found is not None
    ended = {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}
    state = {"terminated": {**ended, "message": json.dumps({"version": 1, **word})}}
    container = {
        "name": found["spec"]["containers"][0]["name"],
        "image": "sidecar:test",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": state,
    }
    status = {
        "phase": "Succeeded" if code == 0 else "Failed",
        "containerStatuses": [container],
    }
    patch = json.dumps({"status": status})
    kube.run("patch", "pod", pod, "--subresource=status", "--type=merge", f"--patch={patch}")


def reasons(kube: Kube) -> list[str]:
    return [one["reason"] for one in kube.list("events.events.k8s.io")]


def test_its_checkpoints_go_and_then_the_job(kube: Kube, an_operator: MakeOperator) -> None:
    wait_for_leader(an_operator("first"))
    begin(kube, "farewell")
    kube.delete("stj", "farewell")
    wait_until(lambda: kube.get("pod", "farewell-purge-1") is not None, "first try")
    assert kube.get("pod", "farewell-1-0") is None
    end(kube, "farewell-purge-1", 1, problem="Unreachable: time-out")
    wait_until(lambda: kube.get("pod", "farewell-purge-2") is not None, "second try", limit=40)
    job = kube.get("stj", "farewell")
    assert job is not None
    assert "Unreachable: time-out" in job["status"]["purge"]["message"]
    end(kube, "farewell-purge-2", 0, deleted=17, kept=[])
    wait_until(lambda: kube.get("stj", "farewell") is None, "end of the job")
    wait_until(lambda: {"PurgeFailed", "CheckpointsDeleted"} <= set(reasons(kube)), "events")
    wait_until(lambda: not kube.list("pods", "spottraining.dev/job=farewell"), "end of its pods")


def test_an_operator_that_is_killed_meanwhile_is_no_matter(
    kube: Kube, an_operator: MakeOperator
) -> None:
    first = an_operator("one")
    wait_for_leader(first)
    begin(kube, "orphan")
    first.stop()
    kube.delete("stj", "orphan")
    assert finalizers(kube, "orphan") == [FINALIZER]
    wait_for_leader(an_operator("two"))
    wait_until(lambda: kube.get("pod", "orphan-purge-1") is not None, "first try", limit=40)
    end(kube, "orphan-purge-1", 0, deleted=3, kept=[])
    wait_until(lambda: kube.get("stj", "orphan") is None, "end of the job")


def test_who_thinks_better_of_it_keeps_the_checkpoints(
    kube: Kube, an_operator: MakeOperator
) -> None:
    wait_for_leader(an_operator("lenient"))
    begin(kube, "spared")
    retain = {"spec": {"checkpoint": {"deletionPolicy": "Retain"}}}
    kube.merge("stj", "spared", retain)
    wait_until(lambda: finalizers(kube, "spared") == [], "release")
    kube.merge("stj", "spared", {"spec": {"checkpoint": {"deletionPolicy": "Delete"}}})
    wait_until(lambda: finalizers(kube, "spared") == [FINALIZER], "hold")
    kube.delete("stj", "spared")
    wait_until(lambda: kube.get("pod", "spared-purge-1") is not None, "first try")
    kube.merge("stj", "spared", retain)
    wait_until(lambda: kube.get("stj", "spared") is None, "end of the job")


def test_what_a_job_resumes_from_stands_in_its_pod(kube: Kube, an_operator: MakeOperator) -> None:
    wait_for_leader(an_operator("heir"))
    source = {"name": "first", "uid": "1b4e28ba-2fa1-41d2-883f-0016d3cca427"}
    store = {"volume": {"claimName": "ckpt"}}
    kube.apply(a_job_manifest("heir", checkpoint={"store": store, "resumeFrom": source}))
    wait_until(lambda: kube.get("pod", "heir-1-0") is not None, "pod")
    pod = kube.get("pod", "heir-1-0")
    assert pod is not None
    config = json.loads(pod["spec"]["initContainers"][0]["env"][0]["value"])
    assert config["resumeFrom"] == {"namespace": "research", **source}
    assert json.loads(pod["metadata"]["annotations"]["spottraining.dev/grant"])["inherits"] is True
    kube.delete("stj", "heir")
