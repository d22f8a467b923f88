"""Run the demo: `python hack/demo`. Exit status 0 when every claim held."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from stage.install import PROJECT, Stage, stage
from stage.job import WatchedJob
from stage.steplog import StepLog
from stage.waiting import TooLateError
from toolchain.layout import cache_from

from demo.proof import Claims
from demo.story import Scene, play
from demo.timeline import Timeline, attempts_table, claims_table, totals_table

EPOCHS = 24
"""Long enough that three nodes can be lost, short enough to wait for."""
POLICY = {
    "apiVersion": "spottraining.dev/v1alpha1",
    "kind": "SpotPolicy",
    "metadata": {"name": "demo"},
    # The local cluster's kubelets renew their leases every 2.5 s, so a loss is certain sooner.
    "spec": {"allowedNamespaces": ["*"], "unreachable": {"after": "15s"}},
}


def main() -> int:
    """Set the stage, play the story, show what was claimed."""
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    console = Console()
    console.print("A real cluster comes up, the operator is installed by helm, and a training job")
    console.print("loses its node three times. About five minutes; Ctrl-C cleans up.\n")
    timeline, claims = Timeline(console), Claims()
    cache = cache_from(os.environ)
    try:
        with stage(cache, cluster_id="demo", tell=timeline.tell, grace_seconds=20) as ready:
            timeline.tell("the operator runs: two replicas, one leads")
            scene = begin(ready, timeline, claims)
            play(scene)
            show(console, scene)
    except TooLateError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    except KeyboardInterrupt:
        console.print("stopped; everything is cleaned up")
        return 130
    return 0 if claims.hold else 1


def begin(ready: Stage, timeline: Timeline, claims: Claims) -> Scene:
    """Apply the job, and the same job once more, which will be left alone."""
    manifest = PROJECT / "examples/digits/job.yaml"
    ready.kube.apply(POLICY)
    names = ("digits", "digits-undisturbed")
    trained = WatchedJob(ready.kube, names[0]), WatchedJob(ready.kube, names[1])
    for name in names:
        job = ready.job(manifest, name, policyName="demo")
        job["spec"]["template"]["spec"]["containers"][0]["args"] = ["--epochs", str(EPOCHS)]
        ready.kube.apply(job)
    timeline.tell(f"kubectl apply: SpotTrainingJobs {' and '.join(names)}")
    log = StepLog(ready.kube, names[0])
    return Scene(*trained, log, ready.bucket, ready.cluster, timeline, claims)


def show(console: Console, scene: Scene) -> None:
    """The tables at the end."""
    status = scene.job.status
    console.print()
    for table in (attempts_table(status), totals_table(status), claims_table(scene.claims)):
        console.print(table)


if __name__ == "__main__":
    sys.exit(main())
