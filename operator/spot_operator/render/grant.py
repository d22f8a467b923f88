"""The grant as the pod's annotation carries it; the sidecar reads it through the downward API."""

import json

from spot_operator.domain.actions import Grant

__all__ = ["grant_annotation"]


def grant_annotation(grant: Grant) -> str:
    """Compact JSON: {"attempt", "newest": {"attempt", "step", "id"} or null, "suspects", …}."""
    newest = grant.newest
    return json.dumps(
        {
            "attempt": grant.attempt,
            "newest": newest and {"attempt": newest.attempt, "step": newest.step, "id": newest.id},
            "suspects": list(grant.suspects),
            "startFresh": grant.start_fresh,
            **({"inherits": True} if grant.inherits else {}),
        },
        separators=(",", ":"),
    )
