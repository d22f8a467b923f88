"""Run the demo: `python hack/demo`. Exit status 0 when every claim held."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cluster.stopping import stop_once
from rich.console import Console
from stage.install import stage
from stage.waiting import TooLateError
from toolchain.layout import cache_from

from demo.opening import begin
from demo.proof import Claims
from demo.story import Scene, play
from demo.timeline import Timeline, attempts_table, claims_table, totals_table


def main() -> int:
    """Set the stage, play the story, show what was claimed."""
    stop_once()
    console = Console()
    console.print("A real cluster comes up, the operator is installed by helm, and a training job")
    console.print("loses its node three times. About five minutes; Ctrl-C cleans up.\n")
    timeline, claims = Timeline(console), Claims()
    cache = cache_from(os.environ)
    try:
        with stage(cache, cluster_id="demo", tell=timeline.tell, grace_seconds=20) as ready:
            timeline.tell("the operator runs: two replicas, one leads")
            with begin(ready, timeline, claims) as scene:
                play(scene)
                show(console, scene)
    except TooLateError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    except KeyboardInterrupt:
        console.print("stopped; everything is cleaned up")
        return 130
    return 0 if claims.hold else 1


def show(console: Console, scene: Scene) -> None:
    """The tables at the end."""
    status = scene.job.status
    console.print()
    for table in (attempts_table(status), totals_table(status), claims_table(scene.claims)):
        console.print(table)


if __name__ == "__main__":
    sys.exit(main())
