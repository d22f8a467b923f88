"""The demo's beginning: a policy, the job, and the same job once more, which is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from stage.install import PROJECT, Stage
from stage.job import WatchedJob
from stage.steplog import StepLog

from demo.proof import Claims
from demo.story import Scene
from demo.timeline import Timeline

EPOCHS = 24
"""Long enough that three nodes can be lost, short enough to wait for."""
POLICY = {
    "apiVersion": "spottraining.dev/v1alpha1",
    "kind": "SpotPolicy",
    "metadata": {"name": "demo"},
    # The local cluster's kubelets renew their leases every 2.5 s, so a loss is certain sooner.
    "spec": {"allowedNamespaces": ["*"], "unreachable": {"after": "15s"}},
}


@contextmanager
def begin(ready: Stage, timeline: Timeline, claims: Claims) -> Iterator[Scene]:
    """Apply the job, and the same job once more, which will be left alone; follow the first."""
    manifest = PROJECT / "examples/digits/job.yaml"
    ready.kube.apply(POLICY)
    names = ("digits", "digits-undisturbed")
    trained = WatchedJob(ready.kube, names[0]), WatchedJob(ready.kube, names[1])
    for name in names:
        job = ready.job(manifest, name, policyName="demo")
        job["spec"]["template"]["spec"]["containers"][0]["args"] = ["--epochs", str(EPOCHS)]
        ready.kube.apply(job)
    timeline.tell(f"kubectl apply: SpotTrainingJobs {' and '.join(names)}")
    with closing(StepLog(ready.kube, names[0])) as log:
        yield Scene(*trained, log, ready.bucket, ready.cluster, timeline, claims)
