"""What a token says of itself, unproved: enough to tell that asking about it would be in vain.

Tokens of service accounts are JWTs, whoever signs them; one that is bound to a pod names it
(https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#schema-for-service-account-private-claims).
Only the API server's review proves any of it.
"""

import base64
import json
from typing import Any, Final, NamedTuple

__all__ = ["MAX_TOKEN", "Claims", "claims_of"]

MAX_TOKEN: Final = 8192
"""Characters; real ones have about 1,200. A header of the server's own limit is no longer."""
_PARTS: Final = 3


class Claims(NamedTuple):
    """What a token claims."""

    audiences: tuple[str, ...]
    expires: float
    """Seconds since the epoch, by the clock of the API server."""
    namespace: str
    pod_uid: str


def claims_of(token: str) -> Claims | None:
    """The claims of a token bound to a pod; None for anything else, malformed or not."""
    parts = token.split(".")
    if len(token) > MAX_TOKEN or len(parts) != _PARTS or not all(parts):
        return None
    body = _json(parts[1])
    bound = _object(body, "kubernetes.io")
    uid, namespace = _object(bound, "pod").get("uid"), bound.get("namespace")
    expires, audience = body.get("exp"), body.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    texts = all(isinstance(one, str) and one for one in (uid, namespace, *audiences))
    if not texts or isinstance(expires, bool) or not isinstance(expires, (int, float)):
        return None
    return Claims(tuple(map(str, audiences)), float(expires), str(namespace), str(uid))


def _json(part: str) -> dict[str, Any]:
    try:
        found = json.loads(base64.b64decode(part + "=" * (-len(part) % 4), "-_", validate=True))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _object(body: dict[str, Any], field: str) -> dict[str, Any]:
    found = body.get(field)
    return found if isinstance(found, dict) else {}
