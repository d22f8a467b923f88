"""Which SpotPolicy rules a job, and why a job has none.

The one that lists the pods' priority class, else the default, else the built-in one. A job may
name another only if that one lists the priority class or admits the namespace: budgets are an
administrator's to give.

Policies come and go while jobs run: they are replaced, renamed, edited in two steps. What ruled a
job is waited for before a lesser policy judges it, and none judges it that cannot be read.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from spot_operator.api.names import ANY_NAMESPACE, Reason
from spot_operator.api.policy import PolicySpec
from spot_operator.domain.observed.snapshot import JobView, PolicyView
from spot_operator.domain.state.ledger import Claim, Ledger

BUILT_IN: Final = PolicyView(name="built-in", spec=PolicySpec())
"""What rules when the cluster has no default policy: the defaults of every field."""
PATIENCE: Final = timedelta(minutes=10)
"""How long the policy that ruled a job is waited for: a chart or GitOps puts it back by then."""
NAMES_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class PolicyBlock:
    """Why no attempt may start and nothing final may be decided, and what to change."""

    reason: Reason
    message: str
    bars_pods: bool = False
    """Whether not even the pods of an attempt that has its number can be created."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The policy that rules; with a block it only stands in, and a running attempt goes on."""

    policy: PolicyView
    claim: Claim
    policy_block: PolicyBlock | None = None


def choose_policy(job: JobView, policies: tuple[PolicyView, ...]) -> Choice:
    """The policy of `job` among `policies`."""
    choice = _by_class(job, policies) if job.spec.policy_name is None else _named(job, policies)
    if choice.policy_block is not None or not choice.policy.unreadable:
        return choice
    return Choice(choice.policy, choice.claim, _unreadable(choice.policy))


def demoted_from(job: JobView, ledger: Ledger, choice: Choice) -> str | None:
    """The policy that ruled the job, where a lesser one would rule by no wish of the job's."""
    lesser = choice.claim in {Claim.DEFAULT, Claim.NONE}
    former, same = ledger.policy, ledger.policy == choice.policy.name
    if not lesser or former is None or same or former == BUILT_IN.name or choice.policy_block:
        return None
    # The job named it, and names none now: that is the user's change.
    return None if ledger.policy_claim is Claim.NAME and job.spec.policy_name is None else former


def awaiting(choice: Choice, former: str) -> Choice:
    """`choice` while `former` is waited for."""
    message = (
        f"SpotPolicy {former}, which this job follows, is gone or no longer claims the job: "
        f"nothing is started or charged for up to {PATIENCE.seconds // 60} minutes, then "
        f"{_called(choice.policy)} applies; to keep its budgets, create {former} again"
    )
    return Choice(choice.policy, choice.claim, PolicyBlock(Reason.POLICY_GONE, message))


def in_doubt_of(choice: Choice, former: str, policies: Iterable[PolicyView]) -> Choice | None:
    """`choice` while `former` is there and cannot be read: whom it claims may be what cannot."""
    unread = next((one for one in policies if one.name == former and one.unreadable), None)
    return None if unread is None else Choice(choice.policy, choice.claim, _unreadable(unread))


def _named(job: JobView, policies: tuple[PolicyView, ...]) -> Choice:
    named = next((one for one in policies if one.name == job.spec.policy_name), None)
    policy_block = _not_found(job, policies) if named is None else _not_allowed(job, named)
    if named is None or policy_block is not None:
        return Choice(_by_class(job, policies).policy, Claim.NAME, policy_block)
    return Choice(named, Claim.NAME)


def _by_class(job: JobView, policies: tuple[PolicyView, ...]) -> Choice:
    listing = [one for one in policies if job.priority_class in one.spec.priority_class_names]
    if listing:
        what = f"list the priority class {job.priority_class}"
        return _only(listing, Claim.PRIORITY_CLASS, what, "list it in one")
    defaults = [one for one in policies if one.spec.default]
    if defaults:
        what = "are marked as the default"
        return _only(defaults, Claim.DEFAULT, what, "set `default: true` in one")
    return Choice(BUILT_IN, Claim.NONE)


def _only(candidates: list[PolicyView], claim: Claim, what: str, remedy: str) -> Choice:
    first, *rest = sorted(candidates, key=lambda one: one.name)
    if not rest:
        return Choice(first, claim)
    message = (
        f"the SpotPolicies {_listed(candidates)} {what}: {remedy} of them only, "
        "or name one in spec.policyName"
    )
    return Choice(first, claim, PolicyBlock(Reason.POLICY_AMBIGUOUS, message))


def _unreadable(policy: PolicyView) -> PolicyBlock:
    message = (
        f"SpotPolicy {policy.name} cannot be read: {policy.unreadable}; nothing is started or "
        "charged until it can: correct the field, or upgrade the operator to the version that "
        "knows it"
    )
    return PolicyBlock(Reason.POLICY_UNREADABLE, message)


def _not_found(job: JobView, policies: tuple[PolicyView, ...]) -> PolicyBlock:
    there = f"there are {_listed(policies)}" if policies else "there is none"
    message = (
        f"no SpotPolicy is named {job.spec.policy_name} ({there}): "
        "correct spec.policyName, remove it, or create the policy"
    )
    return PolicyBlock(Reason.POLICY_NOT_FOUND, message)


def _not_allowed(job: JobView, policy: PolicyView) -> PolicyBlock | None:
    spec = policy.spec
    if {job.namespace, ANY_NAMESPACE} & set(spec.allowed_namespaces):
        return None
    if job.priority_class in spec.priority_class_names:
        return None
    if policy.unreadable:
        return _unreadable(policy)
    message = (
        f"SpotPolicy {policy.name} admits neither the priority class of the pods "
        f"({job.priority_class or 'none'}) nor the namespace {job.namespace}: remove "
        "spec.policyName, use a priority class that the policy lists, or have an administrator "
        "add the namespace to its allowedNamespaces"
    )
    return PolicyBlock(Reason.POLICY_NOT_ALLOWED, message)


def _called(policy: PolicyView) -> str:
    return "the built-in policy" if policy is BUILT_IN else f"SpotPolicy {policy.name}"


def _listed(policies: Iterable[PolicyView]) -> str:
    names = sorted(one.name for one in policies)
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more
