"""Which SpotPolicy rules a job, and why a job has none.

The one that lists the pods' priority class, else the default, else the built-in one. A job may
name another only if that one lists the priority class or admits the namespace: budgets are an
administrator's to give.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from spot_operator.api.names import ANY_NAMESPACE, Reason
from spot_operator.api.policy import PolicySpec
from spot_operator.domain.snapshot import JobView, PolicyView

BUILT_IN: Final = PolicyView(name="built-in", spec=PolicySpec())
"""What rules when the cluster has no default policy: the defaults of every field."""
NAMES_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why no attempt may start, and what to change."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The policy that rules; with a hindrance no attempt starts, but a running one goes on."""

    policy: PolicyView
    hindrance: Hindrance | None = None


def choose_policy(job: JobView, policies: tuple[PolicyView, ...]) -> Choice:
    """The policy of `job` among `policies`."""
    if job.spec.policy_name is None:
        return _by_class(job, policies)
    named = next((one for one in policies if one.name == job.spec.policy_name), None)
    hindrance = _not_found(job, policies) if named is None else _not_allowed(job, named)
    if named is None or hindrance is not None:
        return Choice(_by_class(job, policies).policy, hindrance)
    return Choice(named)


def _by_class(job: JobView, policies: tuple[PolicyView, ...]) -> Choice:
    claim = [one for one in policies if job.priority_class in one.spec.priority_class_names]
    if claim:
        return _only(claim, f"list the priority class {job.priority_class}", "list it in one")
    defaults = [one for one in policies if one.spec.default]
    if defaults:
        return _only(defaults, "are marked as the default", "set `default: true` in one")
    return Choice(BUILT_IN)


def _only(candidates: list[PolicyView], what: str, remedy: str) -> Choice:
    first, *rest = sorted(candidates, key=lambda one: one.name)
    if not rest:
        return Choice(first)
    message = (
        f"the SpotPolicies {_listed(candidates)} {what}: {remedy} of them only, "
        "or name one in spec.policyName"
    )
    return Choice(first, Hindrance(Reason.POLICY_AMBIGUOUS, message))


def _not_found(job: JobView, policies: tuple[PolicyView, ...]) -> Hindrance:
    there = f"there are {_listed(policies)}" if policies else "there is none"
    message = (
        f"no SpotPolicy is named {job.spec.policy_name} ({there}): "
        "correct spec.policyName, remove it, or create the policy"
    )
    return Hindrance(Reason.POLICY_NOT_FOUND, message)


def _not_allowed(job: JobView, policy: PolicyView) -> Hindrance | None:
    spec = policy.spec
    if {job.namespace, ANY_NAMESPACE} & set(spec.allowed_namespaces):
        return None
    if job.priority_class in spec.priority_class_names:
        return None
    message = (
        f"SpotPolicy {policy.name} admits neither the priority class of the pods "
        f"({job.priority_class or 'none'}) nor the namespace {job.namespace}: remove "
        "spec.policyName, use a priority class that the policy lists, or have an administrator "
        "add the namespace to its allowedNamespaces"
    )
    return Hindrance(Reason.POLICY_NOT_ALLOWED, message)


def _listed(policies: Iterable[PolicyView]) -> str:
    names = sorted(one.name for one in policies)
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more
