"""Tokens of service accounts as the API server makes them, but for the signature."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from spot_operator.api import names

Json = dict[str, Any]

NEVER: Final = 4_000_000_000
"""An expiry far away."""


def a_token(
    uid: str = "pod-1",
    namespace: str = "research",
    *,
    audience: Any = names.TOKEN_AUDIENCE,
    expires: float = NEVER,
    signature: str = "signed",
    claims: Mapping[str, Any] | None = None,
) -> str:
    """A token bound to that pod; `claims` replace or add, None leaves one out."""
    body = {
        "aud": [audience] if isinstance(audience, str) else audience,
        "exp": expires,
        "iat": 0,
        "iss": "https://kubernetes.default.svc",
        "kubernetes.io": {
            "namespace": namespace,
            "pod": {"name": "a-pod", "uid": uid},
            "serviceaccount": {"name": "default", "uid": "an-account"},
        },
        "sub": f"system:serviceaccount:{namespace}:default",
        **(claims or {}),
    }
    kept = {key: value for key, value in body.items() if value is not None}
    return ".".join((encoded({"alg": "RS256"}), encoded(kept), encoded(signature)))


def encoded(part: Json | str | list[Any]) -> str:
    """A part of a token."""
    text = part if isinstance(part, str) else json.dumps(part)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
