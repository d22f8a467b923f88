"""The termination message: what the kubelet keeps of this container when everything else is gone.

Always current, because a kill can come at any moment: it is rewritten at each change. The file is a
bind mount (no rename), so one write puts the new text over the old, padded with blanks to the
old one's length: whenever the write ends, what stands there is JSON.
"""

import json
import os
from pathlib import Path
from typing import Any

from spot_sidecar.state.attempt_state import AttemptState

__all__ = ["last_word", "write_last_word"]

LIMIT = 4096
"""Bytes of a termination message that the kubelet keeps."""
TEXT_LIMITS = (900, 300, 100, 0)
"""Characters of each of the three free texts, tried in turn until the message fits."""


def last_word(attempt_state: AttemptState) -> bytes:
    """The message for this state: JSON of at most LIMIT bytes, free texts shortened if need be."""
    for limit in TEXT_LIMITS:
        body = json.dumps(_message(attempt_state, limit), separators=(",", ":")).encode()
        if len(body) <= LIMIT:
            break
    return body


def write_last_word(path: Path, body: bytes) -> None:
    """Put `body` into the file at `path`; raises OSError if it cannot be written."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        old = os.fstat(descriptor).st_size
        os.pwrite(descriptor, body.ljust(old), 0)
        os.ftruncate(descriptor, len(body))
    finally:
        os.close(descriptor)


def _message(attempt_state: AttemptState, limit: int) -> dict[str, Any]:
    word, problem, notice = attempt_state.word, attempt_state.problem, attempt_state.notice
    found = attempt_state.found if attempt_state.found and not attempt_state.found.lineage else None
    newest = attempt_state.commit.origin if attempt_state.commit else found
    return {
        "version": 1,
        "word": word.word if word else None,
        "reason": word.reason[:limit] if word else "",
        "step": attempt_state.trainer.step,
        "commit": newest.to_json() if newest else None,
        "problem": _cut(problem.to_json(), "message", limit) if problem else None,
        "memory": attempt_state.kills.to_json() if attempt_state.kills else None,
        "notice": _cut(notice.to_json(), "raw", limit) if notice else None,
    }


def _cut(shown: dict[str, Any], text: str, limit: int) -> dict[str, Any]:
    return shown | {text: str(shown[text])[:limit]}
