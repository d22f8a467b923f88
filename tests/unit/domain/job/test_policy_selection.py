"""Which SpotPolicy rules a job, and what is said when none may."""

import pytest
from kit.builders import (
    a_job,
    a_policy,
    a_snapshot,
    expect_rest,
    expect_write,
    persisted,
    the_condition,
)
from kit.jobs import a_template
from spot_operator.api.names import Condition, Reason, State
from spot_operator.domain.observed.policy_choice import BUILT_IN, choose_policy
from spot_operator.domain.observed.snapshot import PolicyView

GOLD = a_policy("gold", priorityClassNames=["high", "urgent"])
OPEN = a_policy("open", allowedNamespaces=["*"])
TEAM = a_policy("team", allowedNamespaces=["research"])
STANDARD = a_policy("standard", default=True)
Policies = tuple[PolicyView, ...]
ALL = (GOLD, OPEN, TEAM, STANDARD)


@pytest.mark.parametrize(
    ("priority_class", "named", "policies", "chosen"),
    [
        ("high", None, ALL, "gold"),
        ("urgent", "gold", ALL, "gold"),
        ("low", None, ALL, "standard"),
        (None, None, ALL, "standard"),
        (None, None, (GOLD,), BUILT_IN.name),
        (None, "open", ALL, "open"),
        ("low", "team", ALL, "team"),
        ("high", "team", ALL, "team"),
    ],
)
def test_a_policy_is_chosen(
    priority_class: str | None, named: str | None, policies: Policies, chosen: str
) -> None:
    job = a_job(template=a_template(priorityClassName=priority_class), policyName=named)
    choice = choose_policy(job, policies)
    assert (choice.policy.name, choice.policy_block) == (chosen, None)


@pytest.mark.parametrize(
    ("named", "policies", "reason", "remedy"),
    [
        ("golden", ALL, Reason.POLICY_NOT_FOUND, "there are gold, open, standard, team"),
        ("golden", (), Reason.POLICY_NOT_FOUND, "create the policy"),
        ("gold", ALL, Reason.POLICY_NOT_ALLOWED, "allowedNamespaces"),
        (None, (STANDARD, a_policy("other", default=True)), Reason.POLICY_AMBIGUOUS, "in one of"),
    ],
)
def test_without_a_rightful_policy_no_pod_is_created(
    named: str | None, policies: Policies, reason: Reason, remedy: str
) -> None:
    waiting = persisted(a_snapshot(job=a_job(policyName=named), policies=policies))
    assert waiting.ledger.state is State.WAITING
    summary = the_condition(waiting.ledger, Condition.SUCCEEDED)
    assert (summary.status, summary.reason) == ("Unknown", reason)
    assert remedy in summary.message
    expect_rest(waiting)


def test_two_policies_of_one_class_are_ambiguous() -> None:
    job = a_job(template=a_template(priorityClassName="high"))
    choice = choose_policy(job, (GOLD, a_policy("silver", priorityClassNames=["high"])))
    assert choice.policy_block is not None
    assert choice.policy_block.reason is Reason.POLICY_AMBIGUOUS
    assert "gold, silver list the priority class high" in choice.policy_block.message


def test_a_name_put_right_starts_the_job() -> None:
    waiting = persisted(a_snapshot(job=a_job(policyName="golden"), policies=ALL))
    ledger = expect_write(a_snapshot(job=a_job(), policies=ALL, ledger=waiting.ledger))
    assert (ledger.state, ledger.policy) == (State.CREATING, "standard")
