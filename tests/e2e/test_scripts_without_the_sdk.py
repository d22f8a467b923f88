"""Unmodified scripts of Transformers and Lightning, and a plain one, lose nodes and resume."""

from __future__ import annotations

import pytest
from kit.scripts import EXAMPLES, PLAIN, script_job, with_torch
from stage.install import Stage
from stage.job import WatchedJob
from stage.steplog import StepLog
from stage.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(480)]

PACE = ["--max_steps", "120", "--pause", "0.04"]


class Followed:
    """A job and its steps."""

    def __init__(self, world: Stage, name: str, described: dict[str, object]) -> None:
        world.kube.apply(world.job(described, name, policyName="quick"))
        self.job, self.log = WatchedJob(world.kube, name), StepLog(world.kube, name)

    @property
    def attempt(self) -> int:
        return int(self.job.status.get("attempt", 0))

    def expect_resumed(self, steps: int) -> None:
        """It completes; each attempt but the first went on behind the checkpoint it began with."""
        self.job.until_condition("Succeeded", "True", within=240)
        attempts = self.job.status["attempts"]
        until(
            "the last step", lambda: self.log.last_step(attempts[-1]["number"]) == steps, within=20
        )
        assert len(attempts) >= 2
        for record in attempts[1:]:
            begun = record.get("resumedFrom")
            assert begun, record
            seen = [line.step for line in self.log.lines(record["number"])]
            # One that was interrupted again before its first step shows none.
            assert not seen or min(seen) == begun["step"] + 1, record
        assert attempts[-1]["ending"] == "Completed"
        self.log.close()


def test_scripts_of_transformers_and_lightning_resume(world: Stage) -> None:
    tuned = (EXAMPLES / "finetune.py").read_text()
    fine = Followed(
        world,
        "finetune",
        with_torch(
            script_job(
                ["python3", "-c", tuned, "--output_dir", "/out", *PACE],
                "HuggingFace",
                "--resume_from_checkpoint",
            )
        ),
    )
    classified = (EXAMPLES / "classify.py").read_text()
    light = Followed(
        world,
        "classify",
        with_torch(
            script_job(
                ["python3", "-c", classified, "--root", "/out", *PACE], "Lightning", "--ckpt_path"
            )
        ),
    )
    for one in (fine, light):
        one.job.until_commits(1, 5, within=180)

    warned = light.job.until_placed(light.attempt, within=10)
    world.cluster.node(warned).notice(60)
    record = light.job.until_ending(1, within=60)
    assert record["ending"] == "Preempted", record
    world.cluster.node(warned).withdraw()

    lost = fine.job.until_placed(fine.attempt, within=60)
    until("a step", lambda: fine.log.last_step(fine.attempt) > 0, within=120)
    world.cluster.node(lost).kill()
    try:
        fine.expect_resumed(120)
        light.expect_resumed(120)
    finally:
        world.cluster.node(lost).return_()


def test_a_script_that_saves_on_sigterm_loses_nothing(world: Stage) -> None:
    described = script_job(
        ["python3", "-c", PLAIN],
        "Plain",
        "--resume",
        marker="DONE",
        securityContext={"runAsUser": 1000},
    )
    plain = Followed(world, "plain", described)
    plain.job.until_commits(1, 10, within=120)
    until("some steps more", lambda: plain.log.last_step(1) % 10 == 5, within=60, every=0.02)
    world.kube.delete("pod", "plain-1-0")
    record = plain.job.until_ending(1, within=60)
    assert record["ending"] == "Deleted", record
    plain.expect_resumed(200)
    assert plain.job.record(2)["resumedFrom"]["step"] == plain.log.last_step(1)
    assert plain.log.repeated({1, 2}) == []
    (_, result, _) = plain.log.notes("result")[-1]
    assert result == {"event": "result", "steps": 200, "uid": 1000}
