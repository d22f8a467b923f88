"""The rules of `checkpoint.resumeFrom`."""

from typing import Final

from spot_operator.api.rules import FORBIDDEN, LABEL, Rule

_AT: Final = "spec.checkpoint.resumeFrom"

RESUME_FROM: Final[tuple[Rule, ...]] = (
    Rule(
        name=f"{_AT} is immutable",
        at="spec.checkpoint",
        cel="has(self.resumeFrom) == has(oldSelf.resumeFrom)"
        " && (!has(self.resumeFrom) || self.resumeFrom == oldSelf.resumeFrom)",
        message="cannot be changed: a job goes on from a lineage from its beginning or not at all; "
        "create a job of another name, or delete this one first",
        field=".resumeFrom",
        reason=FORBIDDEN,
    ),
    Rule(
        name="namespace to resume from",
        at=f"{_AT}.namespace",
        cel=f"self.matches('{LABEL}')",
        message="write the name of a namespace, or leave it out for the job's own",
    ),
    Rule(
        name="job to resume from",
        at=f"{_AT}.name",
        cel=f"self.matches('{LABEL}')",
        message="write the other job's metadata.name",
    ),
    Rule(
        name="uid to resume from",
        at=f"{_AT}.uid",
        cel="self.matches('^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$')",
        message="write the other job's metadata.uid, "
        'as "1b4e28ba-2fa1-41d2-883f-0016d3cca427": the last part of its lineage\'s path',
    ),
    Rule(
        name="checkpoint to resume from",
        at=f"{_AT}.checkpoint",
        cel="self.matches('^a[0-9]{8}-s[0-9]{12}-[0-9a-f]{8}$')",
        message="write the whole id, as `spot-training checkpoints ls -o wide` shows it "
        "(a00000002-s000000001200-0123abcd), or leave it out for the newest that verifies",
    ),
)
