"""The trainer's state: what is captured at a step boundary and put back in place."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from spot_training import frameworks
from spot_training.checkpoint import codec
from spot_training.checkpoint.codec import Array
from spot_training.checkpoint.digest import algorithm
from spot_training.checkpoint.tensors import Order, content_of, order_of
from spot_training.placing import placed, same_spec

CARRIED = "carried"
_ARRAYS, _EXTRAS, _ORDERS = "arrays", "extras", "orders"
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


@runtime_checkable
class Particular(Stateful, Protocol):
    """A framework's object, which can say beforehand whether a state fits it."""

    @property
    def borrows(self) -> bool:
        """Whether loading only reads the tensors it is given, and keeps none of them."""

    def mismatches(self, state: Any) -> Iterator[str]:
        """Why `state` does not fit; nothing if it does."""


class TrainingState:
    """References to everything of the trainer that a checkpoint holds."""

    def __init__(
        self,
        *,
        arrays: Mapping[str, Any] | None = None,
        objects: Mapping[str, Any] | None = None,
        extras: MutableMapping[str, Any] | None = None,
        carried: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        """Checks that everything given can be saved and restored; TypeError says what cannot.

        `carried` says what else a framework needs to go on. It is saved with the rest, and handed
        to the framework before that begins: nothing of it is restored or compared here.
        """
        frameworks.imported()
        self._arrays = dict(_flat(arrays or {}, _ARRAYS))
        self._objects = {name: stateful(value, name) for name, value in (objects or {}).items()}
        self.extras: MutableMapping[str, Any] = {} if extras is None else extras
        self._carried = carried

    def capture(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Every array and tensor by its name (not copied), and the rest as plain data."""
        found, plain = self._held()
        if self._carried is not None:
            plain[CARRIED] = codec.to_plain(dict(self._carried()), arrays=found, path=CARRIED)
        return found, plain

    def _held(self) -> tuple[dict[str, Any], dict[str, Any]]:
        frameworks.imported()
        found: dict[str, Any] = dict(self._arrays)
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
        orders = {name: order for name, value in found.items() if (order := order_of(value))}
        return found, plain | ({_ORDERS: orders} if orders else {})

    def restore(self, plain: Mapping[str, Any], stored: Mapping[str, Array]) -> None:
        """Puts everything back; arrays in place. Raises WrongState before it changes anything."""
        self._expect_fitting(plain, stored)
        saved = _Saved(stored, plain.get(_ORDERS, {}))
        for name, target in self._arrays.items():
            np.copyto(target, stored[name], casting="no")
        for name, value in self._objects.items():
            saved.load(value, plain["objects"][name])
        for name, item in plain[_EXTRAS].items():
            self._restore_extra(name, item, saved)

    def differences(
        self, plain: Mapping[str, Any], digests: Mapping[str, str], algorithm_name: str
    ) -> list[str]:
        """Names of what differs now from the checkpoint's tensors and typed state (V5)."""
        digest = algorithm(algorithm_name)
        arrays, held = self._held()
        wrong = [
            name
            for name, array in arrays.items()
            if name in digests and digest.of(content_of(array)) != digests[name]
        ]
        elsewhere = ("__", f"{CARRIED}/")
        missing = [name for name in digests if name not in arrays if not name.startswith(elsewhere)]
        return sorted(wrong + missing + _differing(plain, codec.parse(codec.text(held))))

    def _restore_extra(self, name: str, item: Any, saved: _Saved) -> None:
        current = self.extras.get(name)
        if _is_stateful(current):
            saved.load(stateful(current, name), item)
        else:
            self.extras[name] = placed(current, saved.value(item))

    def _expect_fitting(self, plain: Mapping[str, Any], stored: Mapping[str, Array]) -> None:
        theirs = {name: array for name, array in stored.items() if name.startswith(_ARRAYS + "/")}
        problems = list(_mismatches(self._arrays, theirs))
        for name in sorted(set(plain["objects"]) ^ set(self._objects)):
            there = "the checkpoint" if name in plain["objects"] else "the script"
            problems.append(f"only {there} has the object {name!r}")
        problems.extend(self._misfits(plain, stored))
        if problems:
            more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
            raise WrongState(
                "the checkpoint does not fit this script: " + "; ".join(problems[:_SHOWN]) + more
            )

    def _misfits(self, plain: Mapping[str, Any], stored: Mapping[str, Array]) -> Iterator[str]:
        """What the objects themselves say against the checkpoint."""
        for name, value in self._objects.items():
            if name in plain["objects"]:
                yield from _misfit(name, value, plain["objects"][name], stored)
        for name, current in self.extras.items():
            if name in plain[_EXTRAS] and _is_stateful(current):
                value, item = stateful(current, name), plain[_EXTRAS][name]
                yield from _misfit(f"{_EXTRAS}/{name}", value, item, stored)


def _misfit(name: str, value: Stateful, item: Any, stored: Mapping[str, Array]) -> Iterator[str]:
    if isinstance(value, Particular):
        state = codec.from_plain(item, stored, borrow=True)
        yield from (f"{name}: {problem}" for problem in value.mismatches(state))


class _Saved:
    """The arrays of a checkpoint, and how those that are not row-major lay in memory."""

    def __init__(self, stored: Mapping[str, Array], orders: Mapping[str, Order]) -> None:
        self._stored = stored
        self._orders = orders

    def value(self, item: Any, *, borrow: bool = False) -> Any:
        return codec.from_plain(item, self._stored, orders=self._orders, borrow=borrow)

    def load(self, value: Stateful, item: Any) -> None:
        borrow = isinstance(value, Particular) and value.borrows
        value.load_state_dict(self.value(item, borrow=borrow))


def stateful(value: Any, name: str) -> Stateful:
    """`value` as something with state_dict and load_state_dict; raises TypeError naming it."""
    if isinstance(value, np.random.Generator):
        return _NumpyGenerator(value)
    if isinstance(value, np.random.RandomState):
        return _OldNumpyGenerator(value)
    if isinstance(value, random.Random):
        return _PythonGenerator(value)
    adapted: Stateful | None = frameworks.adapter(value)
    if adapted is not None:
        return adapted
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


class _OldNumpyGenerator:
    def __init__(self, rng: np.random.RandomState) -> None:
        self._rng = rng

    def state_dict(self) -> Any:
        return self._rng.get_state(legacy=False)

    def load_state_dict(self, state: Any) -> None:
        self._rng.set_state(state)


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
    kinds = np.random.Generator | np.random.RandomState | random.Random | Stateful
    own = isinstance(value, kinds)
    return own or frameworks.adapter(value) is not None


def _content(value: Any) -> Any:
    return stateful(value, _EXTRAS).state_dict() if _is_stateful(value) else value


def _mismatches(mine: Mapping[str, Array], theirs: Mapping[str, Array]) -> Iterator[str]:
    for name in sorted(mine.keys() | theirs.keys()):
        if name not in theirs:
            yield f"only the script has {name}"
        elif name not in mine:
            yield f"only the checkpoint has {name}"
        elif not same_spec(mine[name], theirs[name]):
            yield f"{name} is {_spelled(theirs[name])} there and {_spelled(mine[name])} here"


def _spelled(array: Array) -> str:
    return f"{array.dtype}{list(array.shape)}"


def _differing(expected: Mapping[str, Any], held: Mapping[str, Any]) -> list[str]:
    return [
        f"{part}/{name}" if part == _EXTRAS else name
        for part in ("objects", _EXTRAS)
        for name, value in expected[part].items()
        if held[part].get(name) != value
    ]
