"""The rules of a SpotPolicy."""

from typing import Final

from spot_operator.api import job, names, policy
from spot_operator.api.durations import PATTERN
from spot_operator.api.rules import LABEL, Rule, duration, subdomain

POLICY: Final[tuple[Rule, ...]] = (
    subdomain("spec.priorityClassNames[]", "a PriorityClass"),
    Rule(
        name="namespaces",
        at="spec.allowedNamespaces[]",
        cel=f"self == '{names.ANY_NAMESPACE}' || self.matches('{LABEL}')",
        message='write the name of a namespace, or "*" alone for all; patterns are not known',
    ),
    Rule(
        name="all namespaces or some",
        at="spec.allowedNamespaces",
        cel=f"size(self) == 1 || !self.exists(n, n == '{names.ANY_NAMESPACE}')",
        message='"*" admits every namespace: leave the others out, or leave "*" out',
    ),
    duration("spec.interruptions.window", policy.MIN_WINDOW, policy.MAX_WINDOW),
    duration("spec.backoff.initial", policy.MIN_BACKOFF, None),
    duration("spec.backoff.max", policy.MIN_BACKOFF, policy.MAX_BACKOFF),
    Rule(
        name="backoff grows",
        at="spec.backoff",
        # What is not a duration at all is refused by its own rule.
        cel="[self.initial, self.max].exists(text, size(text) < 2 || "
        f"!text.matches('{PATTERN}')) || duration(self.max) >= duration(self.initial)",
        message="write a longest wait that is not below backoff.initial",
        field=".max",
    ),
    duration("spec.checkpoint.maxLostWork", job.MIN_LOST_WORK, job.MAX_INTERVAL),
    duration("spec.unreachable.after", policy.MIN_UNREACHABLE, policy.MAX_UNREACHABLE),
)
"""Every rule of the kind."""
