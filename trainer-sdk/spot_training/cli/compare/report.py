"""What a comparison found, in words, with what usually causes it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spot_training.cli.compare.steps import Steps
from spot_training.cli.text import count

_SHOWN = 12

LENGTH = (
    "the two did not train for the same number of steps: compare runs that completed, or name "
    "checkpoints of the same step with --a and --b"
)
GIVEN = "the script does not give resume() the same arrays and objects in every run"
RANDOMNESS = (
    "random numbers were drawn in another order or number: draw from run.rng or the global "
    "generators of python, numpy and torch; a generator of your own belongs into extras="
)
EXTRAS = "extras= holds something that depends on when or where it ran, such as a time or a path"
OUTSIDE = (
    "state outside of resume(): a schedule, a moving average, a cache or a loader's own position "
    "that starts again with the process"
)
LOADER = (
    "loader workers or augmentation without seeds per sample, or a data order that depends on how "
    "a directory is listed"
)
KERNELS = (
    "kernels that are not deterministic: torch.use_deterministic_algorithms(True), a fixed number "
    "of threads (OMP_NUM_THREADS), the same kind of device for both"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The final states of two lineages. Every list is of lines that name a difference."""

    a: str
    b: str
    equal: tuple[str, ...] = ()
    different: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    steps: Steps | None = None

    @property
    def identical(self) -> bool:
        """Whether everything compared is bit-identical."""
        return not (self.different or self.missing or self.state or self.steps_differ)

    @property
    def steps_differ(self) -> bool:
        """Whether a step's metrics differ."""
        return self.steps is not None and bool(self.steps.problem)


def lines(found: Comparison) -> list[str]:
    """The whole report."""
    tensors = len(found.equal) + len(found.different) + len(found.missing)
    said = [f"A  {found.a}", f"B  {found.b}"]
    files = any(name.startswith("file ") for name in found.equal)
    noun = "item" if files else "tensor"
    said.append(f"{len(found.equal)} of {count(tensors, noun)} bit-identical")
    said += _shown([f"{name}: {what}" for name, what in found.different])
    said += _shown(list(found.missing))
    said.append("typed state differs" if found.state else "typed state identical")
    said += _shown(list(found.state))
    said += _steps(found.steps)
    if found.identical:
        return [*said, "A and B are bit-identical"]
    return [*said, "A and B differ; what usually causes it:", *causes(found)]


def causes(found: Comparison) -> list[str]:
    """Where to look, the likeliest first."""

    def differs(part: str) -> bool:
        return any(line.startswith(part) for line in found.state)

    trained_differently = bool(found.different) or found.steps_differ
    likely = [
        (differs("position/step"), LENGTH),
        (bool(found.missing), GIVEN),
        (differs("rng/"), RANDOMNESS),
        (differs("extras/"), EXTRAS),
        (trained_differently, OUTSIDE),
        (trained_differently, LOADER),
        (trained_differently, KERNELS),
    ]
    return [f"  - {cause}" for applies, cause in likely if applies]


def _shown(listed: Sequence[str]) -> list[str]:
    more = len(listed) - _SHOWN
    shown = [f"  {line}" for line in listed[:_SHOWN]]
    return [*shown, f"  and {more} more"] if more > 0 else shown


def _steps(steps: Steps | None) -> list[str]:
    if steps is None:
        return []
    if steps.problem:
        return [steps.problem]
    again = f", {steps.again:,} of them done again" if steps.again else ""
    return [f"{count(steps.compared, 'step')} compared{again}: the same metrics everywhere"]
