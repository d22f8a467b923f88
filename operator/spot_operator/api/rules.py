"""What the API server checks beyond types: CEL rules and the bounds that keep them affordable.

A rule is data: where it stands, what must hold, and what a user should change. A list that a rule
visits needs a bound, because the server multiplies the cost of each rule by the longest list it
can stand in (https://kubernetes.io/docs/reference/using-api/cel/#resource-use-by-cel).
What costs too much is in `validation.py`.

The rules themselves: `job_rules.py`, `script_rules.py`, `resume_rules.py`, `template_rules.py`,
`policy_rules.py`.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

from spot_operator.api.durations import PATTERN, format_duration

FieldReason = Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired"]

FORBIDDEN: Final = "FieldValueForbidden"
REQUIRED: Final = "FieldValueRequired"


@dataclass(frozen=True, slots=True)
class Rule:
    """One CEL rule."""

    name: str
    """For people and tests; unique within a kind."""
    at: str
    """The field it stands on, from the root of the object; `[]` steps into a list's items."""
    cel: str
    """What must hold; `self` is the field at `at`."""
    message: str
    """What is wrong and what to write instead."""
    field: str = ""
    """The field to blame, relative to `at`, as `.name`; empty blames the field at `at`."""
    reason: FieldReason = "FieldValueInvalid"


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit on a field of the pod template, which Kubernetes itself does not limit."""

    at: str
    keyword: Literal["maxItems", "maxLength", "maxProperties", "minItems"]
    limit: int

    def apply(self, schema: dict[str, Any]) -> None:
        """Write it into the schema of its field."""
        schema[self.keyword] = self.limit


SUBDOMAIN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
"""RFC 1123 subdomain, inside a CEL string."""
LABEL: Final = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
"""RFC 1123 label."""


def duration(at: str, low: timedelta, high: timedelta | None, *, word: str = "") -> Rule:
    """A duration within these limits, the upper one included; or the `word` in its place."""
    shortest = format_duration(low)
    upper = f" && duration(self) <= duration('{format_duration(high)}')" if high else ""
    span = f"from {shortest} to {format_duration(high)}" if high else f"of at least {shortest}"
    cel = (
        f"size(self) > 1 && self.matches('{PATTERN}')"
        f" && duration(self) >= duration('{shortest}'){upper}"
    )
    either = f"{word}, or " if word else ""
    return Rule(
        name=f"duration of {at}",
        at=at,
        cel=f"self == '{word}' || ({cel})" if word else cel,
        message=f"write {either}a duration {span} in whole hours, minutes, seconds, "
        'as "90s" or "1h30m"',
    )


def subdomain(at: str, what: str) -> Rule:
    """The name of an object of the kind `what`."""
    return Rule(
        name=f"name in {at}",
        at=at,
        cel=f"self.matches('{SUBDOMAIN}')",
        message=f"write the name of {what}: lower case letters, digits, '-' and '.'",
    )


def immutable(at: str) -> Rule:
    """A field that keeps the value it was created with; it must be required or have a default."""
    return Rule(
        name=f"{at} is immutable",
        at=at,
        cel="self == oldSelf",
        message="cannot be changed: create a job of another name, or delete this one first",
        reason=FORBIDDEN,
    )
