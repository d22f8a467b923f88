"""How a person goes on after a job that is over: the YAML to write, not the advice to begin again.

A new job has another uid, and with it a lineage of its own: without `resumeFrom` it begins from
zero.
"""

import json

from spot_operator.api.job import DeletionPolicy, ResumeFrom
from spot_operator.domain.formats.text import CONDITION_MESSAGE, shorten
from spot_operator.domain.observed.context import Context
from spot_operator.domain.state.ledger import Ledger


def with_advice(context: Context, ledger: Ledger, message: str) -> str:
    """The last message of a job that failed: `message`, then how to go on.

    The advice is whole however long `message` is.
    """
    advice = how_to_go_on(context, ledger)
    room = CONDITION_MESSAGE - len(advice.encode()) - len(". ")
    return f"{shorten(message, room).rstrip('. ')}. {advice}"


def how_to_go_on(context: Context, ledger: Ledger) -> str:
    """What to create, and with which `resumeFrom`, so that no committed work is done again."""
    job, newest = context.job, ledger.checkpoint.newest
    inherited = job.spec.checkpoint.resume_from
    if newest is not None:
        return (
            f"To go on from its newest checkpoint (step {newest.ref.step}), create a job with "
            f"{_spelled(ResumeFrom(name=job.name, uid=job.uid))} under spec.checkpoint"
            f"{_before_it_is_deleted(context)}"
        )
    if inherited is not None:
        return (
            "This job committed no checkpoint of its own: to go on from where it began, create "
            f"a job with {_spelled(inherited)} under spec.checkpoint"
        )
    if ledger.checkpoint.commits:
        return "None of its checkpoints is known to be valid: a new job begins from zero"
    return "No checkpoint was committed: a new job begins from zero"


def _before_it_is_deleted(context: Context) -> str:
    """With `Delete` a job takes its checkpoints along: the very ones that are to be resumed."""
    spec = context.job.spec
    if spec.checkpoint.deletion_policy is not DeletionPolicy.DELETE:
        return ""
    ttl = spec.ttl_seconds_after_finished
    soon = f", which happens {ttl} s after its end" if ttl is not None else ""
    return (
        "; set checkpoint.deletionPolicy: Retain in this job first, or its checkpoints are "
        f"deleted with it{soon}"
    )


def _spelled(lineage: ResumeFrom) -> str:
    """As it is to be written in a manifest; a name such as `1e3` needs its quotes."""
    parts = lineage.model_dump(mode="json", by_alias=True, exclude_none=True)
    written = ", ".join(f"{key}: {json.dumps(value)}" for key, value in parts.items())
    return f"resumeFrom: {{{written}}}"
