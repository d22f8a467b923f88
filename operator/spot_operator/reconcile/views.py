"""Jobs, policies and nodes of the cache as decisions see them."""

from typing import Any, Final

from pydantic import ValidationError

from spot_operator.api.job import JobSpec
from spot_operator.api.policy import PolicySpec
from spot_operator.api.validation import problems, refusal, unreadable
from spot_operator.domain.snapshot import JobView, NodeView, PolicyView, TaintView
from spot_operator.reconcile.pod_view import condition_views, moment

__all__ = ["job_view", "node_view", "policy_view"]

Json = dict[str, Any]

_UNREADABLE: Final = JobSpec.model_validate(
    {"template": {}, "checkpoint": {"store": {"s3": {"bucket": "unreadable"}}}}
)
"""Stands in for a spec that was stored under other rules; the job gets no pods from it."""


def job_view(job: Json) -> JobView:
    """The view of a job; what keeps its spec from running stands in `refusal`."""
    meta = job["metadata"]
    try:
        spec = JobSpec.model_validate(job.get("spec") or {})
        found = problems(spec)
    except ValidationError as error:
        spec, found = _UNREADABLE, unreadable(error)
    created = moment(meta["creationTimestamp"])
    if created is None:
        raise ValueError(f"{meta['namespace']}/{meta['name']} has no creationTimestamp")
    return JobView(
        uid=meta["uid"],
        name=meta["name"],
        namespace=meta["namespace"],
        generation=meta.get("generation", 0),
        resource_version=meta["resourceVersion"],
        spec=spec,
        created_at=created,
        deleting="deletionTimestamp" in meta,
        finalizers=tuple(meta.get("finalizers") or ()),
        refusal=refusal(found),
    )


def policy_view(policy: Json) -> PolicyView:
    """The view of a policy. Raises ValidationError for one stored under other rules."""
    return PolicyView(
        name=policy["metadata"]["name"], spec=PolicySpec.model_validate(policy.get("spec") or {})
    )


def node_view(node: Json) -> NodeView:
    """The view of a trimmed node; its lease is not in it."""
    meta, spec, status = node["metadata"], node["spec"], node["status"]
    conditions = condition_views(status)
    ready = next((one for one in conditions if one.type == "Ready"), None)
    return NodeView(
        name=meta["name"],
        uid=meta["uid"],
        boot_id=(status.get("nodeInfo") or {}).get("bootID") or "",
        ready=ready is not None and ready.status == "True",
        ready_reason=ready.reason if ready else "",
        ready_message=ready.message if ready else "",
        unschedulable=bool(spec.get("unschedulable")),
        taints=tuple(
            TaintView(one["key"], one.get("value") or "", one.get("effect") or "")
            for one in spec.get("taints") or ()
        ),
        labels=meta.get("labels") or {},
        conditions=conditions,
    )
