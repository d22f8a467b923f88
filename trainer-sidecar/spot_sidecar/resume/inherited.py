"""The lineage of another job from which this one goes on until it commits (`resumeFrom`)."""

import dataclasses
from dataclasses import dataclass

from spot_training.checkpoint import selection, verify
from spot_training.checkpoint.selection import Facts
from spot_training.checkpoint.store import Store

from spot_sidecar.lineage.access import Lineage

__all__ = ["Inherited"]


@dataclass(frozen=True, slots=True)
class Inherited:
    """`lineage` reads there and writes into the job's own; see `InheritedLineage`."""

    lineage: Lineage
    name: str
    """`<namespace>/<name>/<uid>`, as documents and reports have it."""
    checkpoint: str | None = None
    """This one and no other; None: the newest that verifies."""

    def facts(self, facts: Facts) -> Facts:
        """`facts` about this lineage: it never was this job's, so status records nothing of it."""
        return dataclasses.replace(facts, recorded=self.checkpoint, inherited=self.name)

    def look(self, store: Store, facts: Facts) -> Facts:
        """`facts` with what stands there, as far as it concerns this job.

        That the other job has completed does not complete this one.
        """
        seen = verify.look(store, facts)
        wanted = {self.checkpoint} if self.checkpoint else seen.commits
        commits = frozenset(seen.commits) & frozenset(wanted)
        return dataclasses.replace(seen, commits=commits, markers=frozenset())

    def is_wanted(self, decision: selection.Decision) -> bool:
        """Whether the job's own lineage decides so only because it never committed anything."""
        return isinstance(decision, selection.FromZero) and decision.virgin
