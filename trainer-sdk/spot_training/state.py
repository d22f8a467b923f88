"""The trainer's state: what is captured at a step boundary and put back in place."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from spot_training.checkpoint import codec
from spot_training.checkpoint.codec import Array
from spot_training.checkpoint.digest import algorithm

_ARRAYS, _EXTRAS = "arrays", "extras"
_SHOWN = 5


class WrongState(ValueError):  # noqa: N818 - named for what happened
    """The checkpoint does not fit the script: other arrays, shapes, dtypes or objects."""


@runtime_checkable
class Stateful(Protocol):
    """Models, optimizers, schedulers: anything that can hand over and take back its state."""

    def state_dict(self) -> Any:
        """Numbers, strings, bytes, containers and numpy arrays."""

    def load_state_dict(self, state: Any) -> Any:
        """Takes what `state_dict` returned."""


class TrainingState:
    """References to everything of the trainer that a checkpoint holds."""

    def __init__(
        self,
        *,
        arrays: Mapping[str, Any] | None = None,
        objects: Mapping[str, Any] | None = None,
        extras: MutableMapping[str, Any] | None = None,
    ) -> None:
        """Checks that everything given can be saved and restored; TypeError says what cannot."""
        self._arrays = dict(_flat(arrays or {}, _ARRAYS))
        self._objects = {name: stateful(value, name) for name, value in (objects or {}).items()}
        self.extras: MutableMapping[str, Any] = {} if extras is None else extras

    def capture(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Every array by its name (not copied), and the rest as plain data."""
        found = dict(self._arrays)
        plain = {
            "objects": {
                name: codec.to_plain(value.state_dict(), arrays=found, path=name)
                for name, value in self._objects.items()
            },
            _EXTRAS: {
                name: codec.to_plain(_content(value), arrays=found, path=f"{_EXTRAS}/{name}")
                for name, value in self.extras.items()
            },
        }
        return found, plain

    def restore(self, plain: Mapping[str, Any], stored: Mapping[str, Array]) -> None:
        """Puts everything back; arrays in place. Raises WrongState before it changes anything."""
        self._expect_fitting(plain, stored)
        for name, target in self._arrays.items():
            np.copyto(target, stored[name], casting="no")
        for name, value in self._objects.items():
            value.load_state_dict(codec.from_plain(plain["objects"][name], stored))
        for name, item in plain[_EXTRAS].items():
            self._restore_extra(name, codec.from_plain(item, stored))

    def differences(
        self, plain: Mapping[str, Any], digests: Mapping[str, str], algorithm_name: str
    ) -> list[str]:
        """Names of what differs now from the checkpoint's tensors and typed state (V5)."""
        digest = algorithm(algorithm_name)
        arrays, held = self.capture()
        wrong = [
            name
            for name, array in arrays.items()
            if name in digests and digest.of(_bytes(array)) != digests[name]
        ]
        missing = [name for name in digests if name not in arrays and not name.startswith("__")]
        return sorted(wrong + missing + _differing(plain, codec.parse(codec.text(held))))

    def _restore_extra(self, name: str, value: Any) -> None:
        current = self.extras.get(name)
        if isinstance(current, np.ndarray) and _same_spec(current, value):
            np.copyto(current, value)
        elif _is_stateful(current):
            stateful(current, name).load_state_dict(value)
        else:
            self.extras[name] = value

    def _expect_fitting(self, plain: Mapping[str, Any], stored: Mapping[str, Array]) -> None:
        theirs = {name: array for name, array in stored.items() if name.startswith(_ARRAYS + "/")}
        problems = list(_mismatches(self._arrays, theirs))
        for name in sorted(set(plain["objects"]) ^ set(self._objects)):
            there = "the checkpoint" if name in plain["objects"] else "the script"
            problems.append(f"only {there} has the object {name!r}")
        if problems:
            more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
            raise WrongState(
                "the checkpoint does not fit this script: " + "; ".join(problems[:_SHOWN]) + more
            )


def stateful(value: Any, name: str) -> Stateful:
    """`value` as something with state_dict and load_state_dict; raises TypeError naming it."""
    if isinstance(value, np.random.Generator):
        return _NumpyGenerator(value)
    if isinstance(value, random.Random):
        return _PythonGenerator(value)
    if not isinstance(value, Stateful):
        raise TypeError(
            f"{name}={type(value).__name__} has no state_dict() and load_state_dict(); "
            "pass numpy arrays as arrays={...} and plain values as extras={...}"
        )
    return value


class _NumpyGenerator:
    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def state_dict(self) -> Any:
        return self._rng.bit_generator.state

    def load_state_dict(self, state: Any) -> None:
        self._rng.bit_generator.state = state


class _PythonGenerator:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def state_dict(self) -> Any:
        return self._rng.getstate()

    def load_state_dict(self, state: Any) -> None:
        self._rng.setstate(state)


def _flat(arrays: Mapping[str, Any], path: str) -> Iterator[tuple[str, Array]]:
    for name, value in arrays.items():
        where = f"{path}/{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, where)
            continue
        if not isinstance(value, np.ndarray) or not value.flags.writeable:
            raise TypeError(f"{where} must be a writable numpy array: it is restored in place")
        yield where, value


def _is_stateful(value: Any) -> bool:
    return isinstance(value, np.random.Generator | random.Random | Stateful)


def _content(value: Any) -> Any:
    return stateful(value, _EXTRAS).state_dict() if _is_stateful(value) else value


def _same_spec(one: Array, other: Any) -> bool:
    return isinstance(other, np.ndarray) and (one.shape, one.dtype) == (other.shape, other.dtype)


def _mismatches(mine: Mapping[str, Array], theirs: Mapping[str, Array]) -> Iterator[str]:
    for name in sorted(mine.keys() | theirs.keys()):
        if name not in theirs:
            yield f"only the script has {name}"
        elif name not in mine:
            yield f"only the checkpoint has {name}"
        elif not _same_spec(mine[name], theirs[name]):
            yield f"{name} is {_spelled(theirs[name])} there and {_spelled(mine[name])} here"


def _spelled(array: Array) -> str:
    return f"{array.dtype}{list(array.shape)}"


def _bytes(array: Array) -> memoryview:
    flat: Any = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return memoryview(flat)


def _differing(expected: Mapping[str, Any], held: Mapping[str, Any]) -> list[str]:
    return [
        f"{part}/{name}" if part == _EXTRAS else name
        for part in ("objects", _EXTRAS)
        for name, value in expected[part].items()
        if held[part].get(name) != value
    ]
