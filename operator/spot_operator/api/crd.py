"""The CRDs: types and rules put together.

The pod template's schema is given, because only the generator (`hack/gen_crds.py`) has it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from spot_operator.api import names
from spot_operator.api.job import JobSpec
from spot_operator.api.job_rules import JOB
from spot_operator.api.policy import PolicySpec
from spot_operator.api.policy_rules import POLICY
from spot_operator.api.rules import Bound, Rule
from spot_operator.api.status import JobStatus
from spot_operator.api.structural import Schema, structural
from spot_operator.api.template_rules import TEMPLATE_BOUNDS

Column = dict[str, Any]


class _Kind(NamedTuple):
    kind: str
    plural: str
    singular: str
    short: str
    scope: Literal["Namespaced", "Cluster"]


_JOB = _Kind(names.JOB_KIND, names.JOB_PLURAL, names.JOB_SINGULAR, names.JOB_SHORT, "Namespaced")
_POLICY = _Kind(
    names.POLICY_KIND, names.POLICY_PLURAL, names.POLICY_SINGULAR, names.POLICY_SHORT, "Cluster"
)


def job_crd(pod_template: Schema) -> dict[str, Any]:
    """The CRD of SpotTrainingJob, with the structural schema of a PodTemplateSpec in it."""
    spec = structural(JobSpec, defaults=True)
    template = spec["properties"]["template"]
    spec["properties"]["template"] = {
        **pod_template,
        "description": template["description"],
        "required": ["spec"],
    }
    status = structural(JobStatus, defaults=False)
    schema = _root(
        "A training job on spot capacity: it loses its nodes, resumes, and finishes.",
        {"spec": spec, "status": status},
    )
    _apply(schema, JOB, TEMPLATE_BOUNDS)
    return _crd(_JOB, {**_version(schema, _JOB_COLUMNS), "subresources": {"status": {}}})


def policy_crd() -> dict[str, Any]:
    """The CRD of SpotPolicy."""
    schema = _root(
        "How many interruptions and failures a kind of work may have, and how long it waits.",
        {"spec": structural(PolicySpec, defaults=True)},
    )
    # A policy whose every value is the default is a good one; it must still be written down.
    del schema["properties"]["spec"]["default"]
    _apply(schema, POLICY, ())
    return _crd(_POLICY, _version(schema, _POLICY_COLUMNS))


def _column(name: str, kind: str, path: str, description: str, **more: Any) -> Column:
    return {"name": name, "type": kind, "jsonPath": path, "description": description, **more}


_AGE = _column("Age", "date", ".metadata.creationTimestamp", "Time since its creation.")
_JOB_COLUMNS = (
    _column("State", "string", ".status.state", "Where the current attempt stands."),
    _column("Attempt", "integer", ".status.attempt", "The number of the current attempt."),
    _column("Step", "integer", ".status.progress.step", "The highest step reached."),
    _column(
        "Saved",
        "date",
        ".status.checkpoint.newest.committedAt",
        "Time since the newest checkpoint was committed.",
    ),
    _column(
        "Interruptions",
        "integer",
        ".status.totals.interruptions",
        "Endings that the trainer was not to blame for.",
    ),
    _column(
        "Failures",
        "integer",
        ".status.budgets.failures.used",
        "Endings that the trainer was to blame for, since the last refund.",
    ),
    _column(
        "Reason",
        "string",
        f'.status.conditions[?(@.type=="{names.Condition.SUCCEEDED}")].reason',
        "Why the job is where it is.",
    ),
    _column("Policy", "string", ".status.policy.name", "The SpotPolicy that the job follows."),
    _column(
        "Finished", "date", ".status.completionTime", "Time since it completed or failed for good."
    ),
    _AGE,
    _column(
        "Running",
        "string",
        f'.status.conditions[?(@.type=="{names.Condition.RUNNING}")].reason',
        "What the trainer does.",
        priority=1,
    ),
    _column(
        "Checkpoints",
        "string",
        f'.status.conditions[?(@.type=="{names.Condition.CHECKPOINTS_HEALTHY}")].reason',
        "How checkpoints stand.",
        priority=1,
    ),
    _column(
        "Node", "string", ".status.ranks[0].node.name", "The node of the first rank.", priority=1
    ),
)
_POLICY_COLUMNS = (
    _column("Default", "boolean", ".spec.default", "Whether unclaimed jobs follow it."),
    _column(
        "Priority Classes",
        "string",
        ".spec.priorityClassNames",
        "Jobs with these priority classes follow it.",
    ),
    _column("Interruptions", "integer", ".spec.interruptions.max", "Interruptions a job survives."),
    _column("Failures", "integer", ".spec.failures.max", "Failures a job survives."),
    _AGE,
)


def _root(description: str, properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"Always {names.API_VERSION}."},
            "kind": {"type": "string", "description": "The kind of this object."},
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            **properties,
        },
    }


def _version(schema: Schema, columns: Iterable[Column]) -> dict[str, Any]:
    return {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": list(columns),
        "schema": {"openAPIV3Schema": schema},
    }


def _crd(kind: _Kind, version: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": kind.scope,
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short],
                "categories": [names.CATEGORY],
            },
            "versions": [dict(version)],
        },
    }


def _apply(schema: Schema, rules: Iterable[Rule], bounds: Iterable[Bound]) -> None:
    for bound in bounds:
        bound.apply(field_schema(schema, bound.at))
    for rule in rules:
        field_schema(schema, rule.at).setdefault("x-kubernetes-validations", []).append(
            _validation(rule)
        )


def _validation(rule: Rule) -> dict[str, str]:
    made = {"rule": rule.cel, "message": rule.message, "reason": rule.reason}
    return {**made, "fieldPath": rule.field} if rule.field else made


def field_schema(schema: Schema, path: str) -> Schema:
    """The schema of the field at `path`, as in `Rule.at`. Raises KeyError when there is none."""
    for step in _steps(path):
        schema = schema["items"] if step == "[]" else schema["properties"][step]
    return schema


def _steps(path: str) -> Iterator[str]:
    for part in filter(None, path.split(".")):
        name = part.removesuffix("[]")
        yield name
        if part != name:
            yield "[]"
