"""What the object store holds of one job, by the rules of the real one: create-only keys."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Checkpoint", "Lineage", "Model"]


class Model(NamedTuple):
    """What is trained: a number that depends on every step, in order, and on nothing else."""

    step: int = 0
    weights: int = 1

    def next(self) -> "Model":
        """After one more step."""
        return Model(self.step + 1, (self.weights * 6364136223846793005 + self.step) % 2**64)

    def after(self, step: int) -> "Model":
        """After so many steps from the beginning."""
        model = self
        while model.step < step:
            model = model.next()
        return model


@dataclass(slots=True)
class Checkpoint:
    """A commit. `sound` is False once its bytes have flipped."""

    attempt: int
    model: Model
    nonce: str
    sound: bool = True
    quarantined: bool = False

    @property
    def id(self) -> str:
        return f"a{self.attempt:08d}-s{self.model.step:012d}-{self.nonce}"

    @property
    def order(self) -> tuple[int, int]:
        return self.attempt, self.model.step


@dataclass(slots=True)
class Lineage:
    """The objects below a job's prefix."""

    claims: dict[int, str] = field(default_factory=dict)
    """Nonce by attempt."""
    commits: list[Checkpoint] = field(default_factory=list)
    complete: dict[int, Model] = field(default_factory=dict)
    """The completion marker by attempt, with the result."""

    def claim(self, attempt: int, nonce: str) -> bool:
        """Create `claim/<attempt>`; whether it is ours now."""
        return self.claims.setdefault(attempt, nonce) == nonce

    def superseded(self, attempt: int) -> bool:
        """Whether a higher attempt has claimed."""
        return max(self.claims, default=0) > attempt

    def commit(self, checkpoint: Checkpoint) -> None:
        """Create the manifest, if it is not there."""
        if all(one.id != checkpoint.id for one in self.commits):
            self.commits.append(checkpoint)

    def newest(self, suspects: Collection[str] = ()) -> Checkpoint | None:
        """The newest that is neither quarantined nor suspect; it may be unsound all the same."""
        usable = [one for one in self.commits if not one.quarantined and one.id not in suspects]
        return max(usable, key=lambda one: one.order, default=None)

    def purge(self) -> int:
        """Delete everything, and count it."""
        count = len(self.claims) + len(self.commits) + len(self.complete)
        self.claims.clear()
        self.commits.clear()
        self.complete.clear()
        return count

    def flip_a_bit_of_the_newest(self) -> None:
        """What the disk gives back is not what it was given."""
        newest = self.newest()
        assert newest is not None
        newest.sound = False
