"""Compares two final checkpoints, object by object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from spot_training.checkpoint.layout import Slot, Spec
from spot_training.checkpoint.manifest import StoredObject
from spot_training.cli.compare import place, plain, values
from spot_training.cli.compare.final import Final, Opened, opened
from spot_training.cli.compare.report import Comparison
from spot_training.cli.compare.steps import Steps
from spot_training.cli.scratch import scratch
from spot_training.state import CARRIED


@dataclass(slots=True)
class _Found:
    """What is different so far; names begin with the process where there are several."""

    equal: list[str] = field(default_factory=list)
    different: list[tuple[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    state: list[str] = field(default_factory=list)


def compare(a: Final, b: Final, steps: Steps | None = None) -> Comparison:
    """Every tensor and the typed state of both."""
    found = _Found()
    mine, theirs = a.objects(), b.objects()
    several = len(mine) > 1 or len(theirs) > 1
    for who in sorted(mine.keys() | theirs.keys()):
        label = f"rank {who[0]} process {who[1]} " if several else ""
        if who not in mine or who not in theirs:
            found.missing.append(f"{label}is only in {'A' if who in mine else 'B'}")
            continue
        with opened(a, mine[who]) as one, opened(b, theirs[who]) as other:
            _tensors(found, one, other, label)
            states = place.alike(_compared(one.state), _compared(other.state))
            found.state += [label + line for line in plain.differences(*states)]
    _files(found, a, b)
    return Comparison(
        a=a.title,
        b=b.title,
        equal=tuple(found.equal),
        different=tuple(found.different),
        missing=tuple(found.missing),
        state=tuple(found.state),
        steps=steps,
    )


def _compared(state: Any) -> Any:
    """Without what a framework notes for itself: its logs have times in them."""
    return {name: value for name, value in state.items() if name != CARRIED}


def _files(found: _Found, a: Final, b: Final) -> None:
    """Byte by byte: what the files mean, only the script knows."""
    mine, theirs = a.files(), b.files()
    for path in sorted(mine.keys() | theirs.keys()):
        if path not in mine or path not in theirs:
            found.missing.append(f"file {path} is only in {'A' if path in mine else 'B'}")
            continue
        difference = _file_difference(a, mine[path], b, theirs[path])
        if difference:
            found.different.append((f"file {path}", difference))
        else:
            found.equal.append(f"file {path}")


def _file_difference(a: Final, mine: StoredObject, b: Final, theirs: StoredObject) -> str:
    if mine.size != theirs.size:
        return f"{mine.size:,} bytes | {theirs.size:,} bytes"
    with scratch(mine.size) as one, scratch(theirs.size) as other:
        a.place.store.download(mine.key, one, mine.digests)
        b.place.store.download(theirs.key, other, theirs.digests)
        found = values.compare(one, other, Slot("", Spec("U8", (mine.size,)), 0, mine.size))
        return found.spelled() if found else ""


def _tensors(found: _Found, a: Opened, b: Opened, label: str) -> None:
    for name in sorted(a.slots.keys() | b.slots.keys()):
        if name not in a.slots or name not in b.slots:
            found.missing.append(f"{label}{name} is only in {'A' if name in a.slots else 'B'}")
            continue
        difference = _difference(a, b, name)
        if difference:
            found.different.append((label + name, difference))
        else:
            found.equal.append(label + name)


def _difference(a: Opened, b: Opened, name: str) -> str:
    mine, theirs = a.slots[name].spec, b.slots[name].spec
    if mine != theirs:
        return f"{_spelled(mine)} | {_spelled(theirs)}"
    found = values.compare(a.content(name), b.content(name), a.slots[name])
    return found.spelled() if found else ""


def _spelled(spec: Spec) -> str:
    return f"{spec.dtype}[{','.join(map(str, spec.shape))}]"
