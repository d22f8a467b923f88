"""A module's parameters and buffers by their own names, whatever wraps the module.

DistributedDataParallel, DataParallel and torch.compile put `module.` and `_orig_mod.` into every
name; they are left out of the checkpoint, so a run may go on with or without them. Parameters that
are one tensor are stored once, and must be one tensor in the script that goes on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch

from spot_training.checkpoint.layout import Spec
from spot_training.torch_state.tensors import TorchTensors

METADATA = "_metadata"  # torch's own note of module versions, an attribute of its state dicts
_KIND = TorchTensors()


class ModuleState:
    """`module` is restored in place; its parameters stay the objects they are."""

    def __init__(self, module: Any) -> None:
        self._module = module

    @property
    def borrows(self) -> bool:
        """Whether loading only reads what it is given, and keeps none of it."""
        own = type(self._module).load_state_dict is torch.nn.Module.load_state_dict
        return own and not torch.__future__.get_swap_module_params_on_conversion()

    def state_dict(self) -> dict[str, Any]:
        """Raises TypeError if a parameter has the name that the module versions need."""
        held = self._module.state_dict()
        naming = _naming(self._module)
        plain = {naming(name): value for name, value in held.items()}
        if METADATA in plain:
            raise TypeError(f"the module has a state called {METADATA!r}: rename it")
        if len(plain) != len(held):
            raise TypeError("two states of the module collide once wrapper prefixes are removed")
        return plain | {METADATA: self._versions()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        in_place = {
            name
            for kind in (self._module.named_parameters, self._module.named_buffers)
            for name, _ in kind(remove_duplicate=False)
        }
        given = OrderedDict()
        naming = _naming(self._module)
        for name in self._module.state_dict():
            value = state[naming(name)]
            given[name] = value if name in in_place else _own(value)
        versions = state[METADATA]
        given._metadata = OrderedDict(  # type: ignore[attr-defined]  # noqa: SLF001 - torch's way
            (name, versions[naming(name)])
            for name in self._versions(plain=False)
            if naming(name) in versions
        )
        self._module.load_state_dict(given)

    def mismatches(self, state: Mapping[str, Any]) -> Iterator[str]:
        """Why `state` does not fit; nothing if it does."""
        mine, theirs = self.state_dict(), dict(state)
        unfit = [f"{name}: {why}" for name, value in mine.items() if (why := _unfit(value))]
        if unfit:
            yield from unfit
            return
        del mine[METADATA], theirs[METADATA]
        for name in sorted(mine.keys() | theirs.keys()):
            if name not in theirs:
                yield f"only the script has {name}"
            elif name not in mine:
                yield f"only the checkpoint has {name}"
            elif _spec(mine[name]) != _spec(theirs[name]):
                yield f"{name} is {_spelled(theirs[name])} there and {_spelled(mine[name])} here"
        if mine.keys() == theirs.keys():
            yield from _other_ties(mine, theirs)

    def _versions(self, *, plain: bool = True) -> dict[str, Any]:
        held = getattr(self._module.state_dict(), METADATA, {})
        naming = _naming(self._module)
        return {naming(name) if plain else name: dict(note) for name, note in held.items()}


def _naming(module: Any) -> Callable[[str], str]:
    """`plain_name` of this module; no name is looked at where nothing is wrapped."""
    if any(map(_wrapped_as, module.modules())):
        return partial(plain_name, module)
    return str


def plain_name(module: Any, name: str) -> str:
    """`name` without the parts that wrappers put in."""
    kept = []
    at: Any = module
    for part in name.split("."):
        if part != _wrapped_as(at):
            kept.append(part)
        at = getattr(at, part, None) if isinstance(at, torch.nn.Module) else None
    return ".".join(kept)


def _wrapped_as(module: Any) -> str | None:
    if isinstance(module, torch.nn.parallel.DistributedDataParallel | torch.nn.DataParallel):
        return "module"
    if type(module).__name__ == "OptimizedModule":  # torch._dynamo is not imported for this
        return "_orig_mod"
    return None


def _own(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else value


def _spec(value: Any) -> Spec | None:
    return _KIND.spec(value) if isinstance(value, torch.Tensor) else None


def _unfit(value: Any) -> str:
    """Why nothing can be put into this tensor; empty if it can."""
    try:
        _spec(value)
    except TypeError as error:
        return str(error)
    return ""


def _spelled(value: Any) -> str:
    spec = _spec(value)
    return f"{spec.dtype}{list(spec.shape)}" if spec else type(value).__name__


def _first_of(state: Mapping[str, Any]) -> dict[str, str]:
    """name -> the first name of the same tensor."""
    seen: dict[Any, str] = {}
    return {
        name: seen.setdefault(_KIND.identity(value), name)
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
    }


def _other_ties(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    order = list(mine)
    here, there = _first_of(mine), _first_of({name: theirs[name] for name in order})
    for name in order:
        if here.get(name) != there.get(name):
            tied = there if there.get(name, name) != name else here
            place = "in the checkpoint" if tied is there else "in the script"
            yield f"{name} and {tied.get(name)} are one tensor only {place}"
