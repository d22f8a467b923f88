"""Who can help where the API server refuses a pod of ours, and how.

A refusal names containers and fields of the pod as it was posted: some are the template's, some are
the operator's own, which no change of the template would mend. The texts are those of Kubernetes
1.37 (`plugin/pkg/admission`, `pkg/quota`, `pod-security-admission`), of OpenShift's admission, and
of the forms in which webhooks and policies answer. What is not recognised is quoted alone: nobody
is blamed by default.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from spot_operator.api import names
from spot_operator.domain.formats.text import CONDITION_MESSAGE, shorten

__all__ = [
    "Help",
    "Owner",
    "help_with",
    "help_with_purge",
    "is_templates",
    "not_asked_for",
    "with_help",
    "with_help_for_purge",
]


Json = Mapping[str, Any]


class Owner(StrEnum):
    """Who can mend it."""

    RELEASE = "Release"
    """Whoever installed the operator: by values of the chart."""
    TEMPLATE = "Template"
    """The job's author, in a new job."""
    NAMESPACE = "Namespace"
    """Whoever sets quotas and limits for the namespace."""
    CLUSTER = "Cluster"
    """Whoever runs the cluster's policies and classes."""


class Help(NamedTuple):
    """One thing that would help."""

    owner: Owner
    remedy: str
    """What to do, as a clause."""


Rule = Callable[[re.Match[str]], Iterator[Help]]

_OURS: Final = rf"{names.RESERVED_PREFIX}(?:sidecar|purge)"
_SIDECAR: Final = "the operator's own container"
_FIRST: Final = rf"(?:initContainers(?:\[0\]|/0\b)|{names.PURGE_CONTAINER}\b)"
"""Our sidecar is the first init container, unless a webhook has put another before it. The place of
a purge pod's container is put as its name before the rules see it."""
_PURGE_FIRST: Final = re.compile(r"\bcontainers(?:\[0\]|/0\b)")
_PURGE: Final = re.compile(rf"\b{names.PURGE_CONTAINER}\b")
_USER: Final = re.compile(rf"\b{_FIRST}\.[\w.]*runAsUser: Invalid value: (?P<user>\d{{1,10}})\b")
_CAPABILITY: Final = re.compile(rf"\b{_FIRST}\.[\w.]*capabilities\.add: ")
_RANGE: Final = "the annotation openshift.io/sa.scc.uid-range of the namespace says which it admits"
_NOT_ROOT: Final = (
    "for the operator's sidecar set securityContext.runAsUser (not 0) in the template of a new "
    "job: where a script writes the checkpoints it runs as the trainer's user, and without one as "
    "root"
)
_NAMED: Final = re.compile(rf"{_OURS}|{_FIRST}|\bspot-(?:shared|private|podinfo|token|store|ca)\b")
_PATH: Final = re.compile(r"\bspec(?:\.\w+(?:\[\d{1,6}\])?)+")
_STEP: Final = re.compile(r"(\w+)(?:\[(\d+)\])?")
_MEMORY: Final = "checkpoint.staging.sizeLimit (of a new job) plus 192 MiB"
_CLAUSE: Final = 160
"""Bytes for what stands before a refusal: which pod it is about."""
_REMEDIES: Final = 620
"""Bytes: what cannot be said in them is cut, the operator's own part comes first."""
_WITHIN: Final = {
    "cpu": "set the chart's values sidecar.cpuRequest and sidecar.cpuLimit so that they fit it",
    "memory": f"the sidecar has {_MEMORY} as request and limit: choose a size that fits it",
}


def help_with(message: str, added: str = "") -> tuple[Help, ...]:
    """All that would help against this refusal, by its text; empty where nothing is known.

    `added`: the part that it names and the operator did not post, see `not_asked_for`.
    """
    for pattern, rule in _RULES:
        found = pattern.search(message)
        if found is not None:
            own = tuple(rule(found))
            return (*_webhooks(added), *own) if rule is _invalid else own
    return ()


def help_with_purge(message: str, added: str = "") -> tuple[Help, ...]:
    """The same for a purge pod: it has one container, which is ours, and the job is deleted, so
    that nothing can be corrected in its template any more."""
    named = _PURGE_FIRST.sub(names.PURGE_CONTAINER, message)
    found = help_with(named, added)
    return tuple(one for one in found if one.owner is not Owner.TEMPLATE)


def is_templates(message: str, added: str = "") -> bool:
    """Whether nothing but another template would help: what is not known is nobody's."""
    found = help_with(message, added)
    return bool(found) and all(one.owner is Owner.TEMPLATE for one in found)


def with_help(message: str, added: str = "") -> str:
    """The refusal as quoted to a person, with what helps after it; it leaves room in a condition's
    message for a clause before it."""
    return _quoted(message, help_with(message, added))


def with_help_for_purge(message: str, added: str = "") -> str:
    """`with_help` for a purge pod."""
    return _quoted(message, help_with_purge(message, added))


def _quoted(message: str, found: tuple[Help, ...]) -> str:
    remedies = shorten("; ".join(one.remedy for one in found), _REMEDIES)
    if not remedies:
        return message
    said = f"; what helps: {remedies}"
    room = CONDITION_MESSAGE - _CLAUSE - len(said.encode())
    return f"{shorten(message, room)}{said}"


def _webhooks(added: str) -> Iterator[Help]:
    if added:
        yield Help(
            Owner.CLUSTER,
            f"{added} is not in the pod that the operator asks for: a webhook of the cluster added "
            "it or moved it there, ask who runs that webhook",
        )


def not_asked_for(message: str, pod: Json) -> str:
    """The first part of a pod that `message` names and the posted `pod` has not, as
    `spec.containers[0].env[7]`; empty when it has all of them.

    The API server looks at a pod only once every webhook has changed it, and names the part alone.
    """
    for named in _PATH.finditer(message):
        value: Any = pod
        for key, index in _STEP.findall(named[0]):
            value = value.get(key) if isinstance(value, dict) else None
            if not index:
                continue
            if not isinstance(value, list) or int(index) >= len(value):
                return named[0][: named[0].index(f"{key}[{index}]")] + f"{key}[{index}]"
            value = value[int(index)]
    return ""


def _quota_wants(found: re.Match[str]) -> Iterator[Help]:
    """`must specify limits.cpu for: spot-sidecar,trainer; limits.memory for: trainer`."""
    theirs: list[str] = []
    for part in found["what"].split("; "):
        resource, _, listed = part.partition(" for: ")
        containers = [one.strip() for one in listed.split(",")]
        if any(re.fullmatch(_OURS, one) for one in containers):
            yield Help(Owner.RELEASE, _own_resource(resource))
        others = [one for one in containers if one and not re.fullmatch(_OURS, one)]
        if others:
            theirs.append(f"{resource} of {', '.join(others)}")
    if theirs:
        yield Help(Owner.TEMPLATE, f"set {'; '.join(theirs)} in spec.template of a new job")
        yield Help(Owner.NAMESPACE, "or let a LimitRange of the namespace give a default")


def _own_resource(resource: str) -> str:
    value = {
        "limits.cpu": "sidecar.cpuLimit",
        "cpu": "sidecar.cpuRequest",
        "requests.cpu": "sidecar.cpuRequest",
    }
    if resource in value:
        return (
            f"{_SIDECAR} has no {resource}: set the chart's value {value[resource]}, as "
            f'"500m", by helm upgrade'
        )
    return f"{_SIDECAR} has no {resource}: let a LimitRange of the namespace give a default"


def _quota_used_up(found: re.Match[str]) -> Iterator[Help]:
    yield Help(
        Owner.NAMESPACE,
        f"quota {found['name']} of the namespace has no room: it is tried again until other pods "
        "end or the quota is raised; the sidecar's part are the chart's sidecar.cpuRequest and "
        f"sidecar.cpuLimit, and of memory {_MEMORY}",
    )


def _quota_not_counted(found: re.Match[str]) -> Iterator[Help]:
    yield Help(
        Owner.CLUSTER,
        f"quota {found['name']} was not counted yet: it is tried again; if this lasts, the "
        "cluster's controllers do not run",
    )


def _no_quota(_: re.Match[str]) -> Iterator[Help]:
    yield Help(
        Owner.NAMESPACE,
        "the cluster admits this only where a ResourceQuota of the namespace allows it: ask for "
        "one, or name another priority class in a new job",
    )


def _outside_limits(found: re.Match[str]) -> Iterator[Help]:
    """A LimitRange names no container."""
    resource = found["resource"]
    within = _WITHIN.get(resource, f"let it give a default for {resource}")
    yield Help(
        Owner.NAMESPACE,
        f"a LimitRange of the namespace admits this to no {found['kind'].lower()}. Where it is "
        f"{names.SIDECAR_CONTAINER}, {_SIDECAR}: {within}",
    )
    yield Help(Owner.TEMPLATE, "where it is one of the template's: correct it in a new job")


def _ratio(found: re.Match[str]) -> Iterator[Help]:
    yield Help(
        Owner.NAMESPACE,
        f"a LimitRange of the namespace bounds limits to {found['ratio']} times the request. Where "
        f"it is {names.SIDECAR_CONTAINER}, {_SIDECAR}: set the chart's values sidecar.cpuRequest "
        "and sidecar.cpuLimit closer together",
    )
    yield Help(Owner.TEMPLATE, "where it is one of the template's: correct it in a new job")


def _above_default(found: re.Match[str]) -> Iterator[Help]:
    yield Help(
        Owner.RELEASE,
        f"{_SIDECAR} {names.SIDECAR_CONTAINER} asks for more {found['resource']} than the limit "
        f"{found['limit']} that a LimitRange of the namespace gives by default: set the chart's "
        "value sidecar.cpuLimit, or lower sidecar.cpuRequest"
        if found["resource"] == "cpu"
        else f"{_SIDECAR} {names.SIDECAR_CONTAINER} asks for more {found['resource']} than the "
        f"limit {found['limit']} that the namespace gives by default: ask for a higher limit",
    )


def _pod_level(_: re.Match[str]) -> Iterator[Help]:
    yield Help(
        Owner.TEMPLATE,
        "spec.template.spec.resources holds for the whole pod: add the sidecar's part in a new "
        f"job, which is the chart's sidecar.cpuRequest and, of memory, {_MEMORY}",
    )


def _invalid(found: re.Match[str]) -> Iterator[Help]:
    message = found.string
    if ours := re.search(rf"spec\.{_FIRST}", message):
        what = (
            f"spec.containers[0] is {names.PURGE_CONTAINER}"
            if _PURGE.search(ours[0])
            else f"spec.initContainers[0] is {names.SIDECAR_CONTAINER}"
        )
        yield Help(
            Owner.RELEASE,
            f"{what}, {_SIDECAR}, unless a webhook put another before it: see the chart's values "
            "of sidecar",
        )
    rest = re.sub(rf"spec\.{_FIRST}", "", message)
    if re.search(r"\b(?:spec|metadata)\.", rest):
        yield Help(Owner.TEMPLATE, "correct what it names in spec.template of a new job")


def _pod_security(found: re.Match[str]) -> Iterator[Help]:
    quoted = set(re.findall(r'"([a-z0-9-]+)"', found["what"]))
    if names.PURGE_CONTAINER in quoted:
        yield Help(Owner.NAMESPACE, f"have the namespace's level changed from {found['level']}")
    elif names.SIDECAR_CONTAINER in quoted:
        yield Help(Owner.TEMPLATE, _NOT_ROOT)
    if not quoted or any(not re.fullmatch(_OURS, one) for one in quoted):
        yield Help(
            Owner.TEMPLATE,
            "set what it asks of the template's pod and containers in a new job, or have the "
            f"namespace's level changed from {found['level']}",
        )


def _openshift(found: re.Match[str]) -> Iterator[Help]:
    """One that admits no user refuses him once for each constraint of the cluster."""
    users = {int(one["user"]) for one in _USER.finditer(found.string)}
    if (0 in users or _CAPABILITY.search(found.string)) and not _PURGE.search(found.string):
        yield Help(Owner.TEMPLATE, f"{_NOT_ROOT}; {_RANGE}")
    elif _NAMED.search(found.string):
        user = next(iter(users), names.SIDECAR_UID)
        which = "as nonroot-v2" if user else "as anyuid"
        yield Help(
            Owner.CLUSTER,
            f"{_SIDECAR} runs as user {user}: grant the job's service account a constraint that "
            f"admits it, {which}",
        )
        if user not in {0, names.SIDECAR_UID}:
            yield Help(Owner.TEMPLATE, f"or choose another runAsUser in a new job; {_RANGE}")
    else:
        yield Help(Owner.TEMPLATE, "correct the securityContext of spec.template in a new job")


def _missing(kind: str, owner: Owner = Owner.NAMESPACE) -> Rule:
    def rule(found: re.Match[str]) -> Iterator[Help]:
        yield Help(owner, f"create {kind} {found['name']}, or name another in a new job")

    return rule


def _secret_not_listed(found: re.Match[str]) -> Iterator[Help]:
    yield Help(
        Owner.NAMESPACE, f"add that secret to ServiceAccount {found['name']}, which bounds them"
    )


def _no_right(_: re.Match[str]) -> Iterator[Help]:
    yield Help(
        Owner.RELEASE,
        "the operator lacks a right: upgrade the release with rbac.create, or add the chart's "
        "current rules to its roles",
    )


def _tolerations(_: re.Match[str]) -> Iterator[Help]:
    yield Help(
        Owner.NAMESPACE,
        "the operator adds tolerations for spot taints: add them to the whitelist, annotation "
        "scheduler.alpha.kubernetes.io/tolerationsWhitelist of the namespace",
    )


def _node_selector(_: re.Match[str]) -> Iterator[Help]:
    yield Help(Owner.TEMPLATE, "choose a nodeSelector within the namespace's in a new job")


def _policy(found: re.Match[str]) -> Iterator[Help]:
    name, message = found["name"], found.string[found.end() :]
    if _NAMED.search(message):
        yield Help(
            Owner.CLUSTER,
            f"{name} objects to a part of the pod that is the operator's own: have "
            f"{names.SIDECAR_CONTAINER} and the volumes spot-* exempted there",
        )
        yield Help(
            Owner.RELEASE,
            "or set what it asks for by the chart's values (sidecar.cpuRequest, sidecar.cpuLimit, "
            "sidecar.image)",
        )
    else:
        yield Help(
            Owner.CLUSTER, f"correct in a new job what {name} names, or ask who runs that policy"
        )


def _silent_webhook(found: re.Match[str]) -> Iterator[Help]:
    yield Help(
        Owner.CLUSTER,
        f"webhook {found['name']} must pass every pod and does not answer: fix or remove it",
    )


_RULES: Final[tuple[tuple[re.Pattern[str], Rule], ...]] = tuple(
    (re.compile(pattern, re.DOTALL), rule)
    for pattern, rule in (
        # A webhook may quote any of the other texts: its own form comes first.
        (r'failed calling webhook "(?P<name>[^"]+)"', _silent_webhook),
        (r"unable to validate against any security context constraint", _openshift),
        (r'admission webhook "(?P<name>[^"]+)" denied the request', _policy),
        (r"[Pp]olicy ['\"](?P<name>[^'\"]+)['\"](?: with binding \S+)? denied request", _policy),
        (r"(?P<name>image policy webhook) backend denied one or more images", _policy),
        (r"must specify (?P<what>\S+ for: .+)", _quota_wants),
        (r"exceeded quota: (?P<name>[^,\s]+)", _quota_used_up),
        (r"status unknown for quota: (?P<name>[^,\s]+)", _quota_not_counted),
        (r"insufficient quota to (?:consume|match these scopes)", _no_quota),
        (
            r"(?:minimum|maximum) (?P<resource>\S+) usage per (?P<kind>Container|Pod) is",
            _outside_limits,
        ),
        (r"max limit to request ratio per (?:Container|Pod) is (?P<ratio>[^,]+)", _ratio),
        (r'violates PodSecurity "(?P<level>[^"]+)": (?P<what>.*)', _pod_security),
        (r"error looking up service account [^/\s]+/(?P<name>[^:\s]+)", _missing("ServiceAccount")),
        (r"because service account (?P<name>\S+) does not reference that", _secret_not_listed),
        (
            r"no PriorityClass with name (?P<name>\S+) was found",
            _missing("PriorityClass", Owner.CLUSTER),
        ),
        (
            r'RuntimeClass "(?P<name>[^"]+)" not found',
            _missing("RuntimeClass", Owner.CLUSTER),
        ),
        (r"cannot set (?:blockOwnerDeletion|an ownerRef)", _no_right),
        (r"is forbidden: User \"[^\"]+\" cannot", _no_right),
        (r"pod tolerations .*conflict with its", _tolerations),
        (r"node label selector", _node_selector),
        (
            (
                rf"spec\.{_FIRST}\.resources\.requests: Invalid value: \S+ must be less than "
                r"or equal to (?P<resource>\S+) limit of (?P<limit>[^\s,\]]+)"
            ),
            _above_default,
        ),
        (r"\bspec\.resources\b", _pod_level),
        (r"is invalid: |\bspec\.\w", _invalid),
    )
)
