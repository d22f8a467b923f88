"""What of a status the API server keeps: one with older CRDs drops fields that it does not know,
without a word.

A field that is not kept is as if it had never been decided: it is not written again and again, and
no pod is created on the strength of it. Paths are written as in `ranks[].trouble`.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic import ValidationError

from spot_operator.api.names import Reason
from spot_operator.domain.observed.context import Context
from spot_operator.domain.observed.policy_choice import PolicyBlock
from spot_operator.domain.state.ledger import Ledger
from spot_operator.domain.state.status import ledger_of, status_of

Json = Mapping[str, Any]

FIGURES: Final = (
    "jobUID",
    "time",
    "progress",
    "totals",
    "conditions",
    "checkpoint.interval",
    "attempts[].step",
    "attempts[].message",
    "attempts[].retrySeconds",
    "attempts[].replayedSteps",
)
"""What no decision needs: where only these are lost, jobs go on without them."""
NAMED: Final = 8
"""Paths in a message."""
REMEDY: Final = (
    "the CRDs are older than the operator (Helm never upgrades them), or something changes what it "
    "writes; run `kubectl apply --server-side --force-conflicts -f crds/` with the operator's "
    "release"
)


def not_kept(written: Json, stored: Json) -> frozenset[str]:
    """The paths of what was written and does not stand in what came back as it was written."""
    return frozenset(_missing(written, stored, ""))


def storable(ledger: Ledger, paths: Collection[str]) -> Ledger | None:
    """`ledger` as it will be read back where `paths` are not kept; None: nobody could read it."""
    if not paths:
        return ledger
    try:
        return ledger_of(_without(status_of(ledger), frozenset(paths), ""))
    except ValidationError:
        return None


def unkept(ledger: Ledger, paths: Collection[str]) -> frozenset[str]:
    """Which of `paths` hold something of `ledger` that decisions need."""
    needed = [path for path in paths if not _is_figure(path)]
    status = _spoken(status_of(ledger)) if needed else {}
    return frozenset(path for path in needed if _without(status, {path}, "") != status)


def until_upgraded(context: Context, paths: Collection[str]) -> Context:
    """`context` of a job whose intent cannot be stored: what runs goes on, no pod is created."""
    message = f"the API server does not keep {told(paths)} of the job's status: {REMEDY}"
    policy_block = PolicyBlock(
        Reason.CRDS_OUTDATED,
        f"{message}. What runs goes on; nothing is started or decided that needs it",
        bars_pods=True,
    )
    return replace(context, policy_block=policy_block)


def told(paths: Collection[str]) -> str:
    """The paths for a message."""
    first, rest = sorted(paths)[:NAMED], len(paths) - NAMED
    return ", ".join(first) + (f" and {rest} more" if rest > 0 else "")


def _is_figure(path: str) -> bool:
    return any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in FIGURES)


def _missing(written: Any, stored: Any, path: str) -> Iterator[str]:
    if isinstance(written, Mapping) and isinstance(stored, Mapping):
        for name, value in written.items():
            inner = f"{path}.{name}" if path else name
            if name not in stored:
                yield inner
            else:
                yield from _missing(value, stored[name], inner)
    elif isinstance(written, list) and isinstance(stored, list) and len(written) == len(stored):
        for ours, theirs in zip(written, stored, strict=True):
            yield from _missing(ours, theirs, f"{path}[]")
    elif written != stored:
        yield path


def _spoken(value: Any) -> Any:
    """`value` without empty texts, which are read back as such where the field is missing."""
    if isinstance(value, Mapping):
        return {name: _spoken(each) for name, each in value.items() if each != ""}
    return [_spoken(each) for each in value] if isinstance(value, list) else value


def _without(value: Any, paths: Collection[str], path: str) -> Any:
    if isinstance(value, Mapping):
        inner = {name: f"{path}.{name}" if path else name for name in value}
        return {
            name: _without(each, paths, inner[name])
            for name, each in value.items()
            if inner[name] not in paths
        }
    if isinstance(value, list):
        items = f"{path}[]"
        return [_without(each, paths, items) for each in value if items not in paths]
    return value
