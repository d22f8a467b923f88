"""Jobs, policies and nodes of the cache as decisions see them."""

from typing import Any

from pydantic import ValidationError

from spot_operator.api.names import FINALIZER
from spot_operator.api.policy import PolicySpec
from spot_operator.api.validation import problems, refusal, unreadable
from spot_operator.domain.observed.snapshot import JobView, NodeView, PolicyView, TaintView
from spot_operator.reconcile.lenient import read_claims, read_spec, unread
from spot_operator.reconcile.pod_view import condition_views, moment

__all__ = ["job_view", "node_view", "policy_view"]

Json = dict[str, Any]


def job_view(job: Json) -> JobView:
    """The view of a job; what keeps its spec from running stands in `refusal`."""
    meta = job["metadata"]
    spec, lost = read_spec(job.get("spec") or {})
    created = moment(meta["creationTimestamp"])
    if created is None:
        raise ValueError(f"{meta['namespace']}/{meta['name']} has no creationTimestamp")
    deleting, finalizers = "deletionTimestamp" in meta, tuple(meta.get("finalizers") or ())
    going = deleting and FINALIZER in finalizers
    return JobView(
        uid=meta["uid"],
        name=meta["name"],
        namespace=meta["namespace"],
        generation=meta.get("generation", 0),
        resource_version=meta["resourceVersion"],
        spec=spec,
        created_at=created,
        deleting=deleting,
        finalizers=finalizers,
        refusal=unread(lost, going=going) if lost else refusal(problems(spec)),
        unreadable=tuple(one.path for one in lost),
    )


def policy_view(policy: Json) -> PolicyView:
    """The view of a policy; of one stored under other rules only whom it claims."""
    name, raw = policy["metadata"]["name"], policy.get("spec") or {}
    try:
        return PolicyView(name, PolicySpec.model_validate(raw))
    except ValidationError as error:
        claims, why = read_claims(raw), refusal(unreadable(error))
        return PolicyView(name, claims, unreadable=why or "its spec")


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
