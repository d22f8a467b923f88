"""Refusals as the API server words them, and who can help."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spot_operator.domain.attempt.pod_refusals import (
    Owner,
    help_with,
    help_with_purge,
    is_templates,
    not_asked_for,
    with_help,
    with_help_for_purge,
)
from spot_operator.domain.formats.text import CONDITION_MESSAGE

FORBIDDEN = 'pods "q-1-0" is forbidden: '
RELEASE, TEMPLATE, NAMESPACE, CLUSTER = Owner

TABLE: list[tuple[str, list[Owner], list[str]]] = [
    # Quotas.
    (
        FORBIDDEN + "failed quota: team: must specify limits.cpu for: spot-sidecar",
        [RELEASE],
        ["sidecar.cpuLimit"],
    ),
    (
        FORBIDDEN + "failed quota: team: must specify limits.cpu for: spot-purge",
        [RELEASE],
        ["sidecar.cpuLimit"],
    ),
    (
        FORBIDDEN + "failed quota: team: must specify limits.cpu for: spot-sidecar,trainer; "
        "limits.memory for: trainer",
        [RELEASE, TEMPLATE, NAMESPACE],
        ["sidecar.cpuLimit", "limits.cpu of trainer; limits.memory of trainer"],
    ),
    (
        FORBIDDEN + "failed quota: team: must specify requests.cpu for: spot-sidecar",
        [RELEASE],
        ["sidecar.cpuRequest"],
    ),
    (
        FORBIDDEN + "failed quota: team: must specify limits.cpu for: trainer",
        [TEMPLATE, NAMESPACE],
        ["limits.cpu of trainer", "LimitRange"],
    ),
    (
        FORBIDDEN + "failed quota: team: must specify limits.cpu for: spotless",
        [TEMPLATE, NAMESPACE],
        ["limits.cpu of spotless"],
    ),
    (
        FORBIDDEN + "exceeded quota: team, requested: limits.cpu=600m,pods=1, used: limits.cpu=4,"
        "pods=10, limited: limits.cpu=4,pods=10",
        [NAMESPACE],
        ["quota team", "tried again", "192 MiB"],
    ),
    (
        FORBIDDEN + "status unknown for quota: team, resources: limits.cpu",
        [CLUSTER],
        ["quota team was not counted"],
    ),
    (
        "insufficient quota to match these scopes: [{PriorityClass In [high]}]",
        [NAMESPACE],
        ["ResourceQuota"],
    ),
    (FORBIDDEN + "insufficient quota to consume: cpu", [NAMESPACE], ["ResourceQuota"]),
    # LimitRanges name no container.
    (
        FORBIDDEN + "minimum cpu usage per Container is 200m, but request is 100m",
        [NAMESPACE, TEMPLATE],
        ["sidecar.cpuRequest"],
    ),
    (
        FORBIDDEN + "[maximum memory usage per Container is 1Gi, but limit is 1275068416, "
        "minimum cpu usage per Container is 200m, but request is 100m]",
        [NAMESPACE, TEMPLATE],
        ["staging.sizeLimit"],
    ),
    (
        FORBIDDEN + "maximum cpu usage per Pod is 2.  No limit is specified",
        [NAMESPACE, TEMPLATE],
        ["sidecar.cpuLimit", "no pod"],
    ),
    (
        FORBIDDEN + "maximum ephemeral-storage usage per Container is 1Gi.  No limit is specified",
        [NAMESPACE, TEMPLATE],
        ["give a default for ephemeral-storage"],
    ),
    (
        FORBIDDEN + "cpu max limit to request ratio per Container is 3, but provided ratio is 10.0",
        [NAMESPACE, TEMPLATE],
        ["3 times", "sidecar.cpuLimit"],
    ),
    (
        (
            'Pod "q-1-0" is invalid: spec.initContainers[0].resources.requests: Invalid value: '
            '"100m": must be less than or equal to cpu limit of 50m'
        ),
        [RELEASE],
        ["limit 50m", "sidecar.cpuLimit", "sidecar.cpuRequest"],
    ),
    (
        (
            'Pod "q-1-0" is invalid: [spec.initContainers[0].resources.requests: Invalid value: '
            '"100m": must be less than or equal to cpu limit of 50m, x]'
        ),
        [RELEASE],
        ["limit 50m"],
    ),
    # Pods that are not valid.
    (
        (
            'Pod "q-1-0" is invalid: spec.containers[0].resources.requests: Invalid value: '
            '"2": must be less than or equal to cpu limit of 1'
        ),
        [TEMPLATE],
        ["spec.template"],
    ),
    (
        (
            'Pod "q-1-0" is invalid: [spec.initContainers[0].image: Invalid value: " ": x, '
            "spec.volumes[0].name: Duplicate value]"
        ),
        [RELEASE, TEMPLATE],
        ["spot-sidecar", "correct what it names"],
    ),
    (
        'Pod "q-1-0" is invalid: spec.initContainers[10].image: Required value',
        [TEMPLATE],
        ["correct what it names"],
    ),
    (
        (
            'Pod "q-1-0" is invalid: spec.resources.requests[cpu]: Invalid value: "1": must be '
            "greater than or equal to aggregate container requests of 1100m"
        ),
        [TEMPLATE],
        ["add the sidecar's part"],
    ),
    (
        'Pod "q-1-0" is invalid: metadata.labels: Invalid value: "a b": a valid label must be x',
        [TEMPLATE],
        ["correct what it names"],
    ),
    ("spec.containers: Required value", [TEMPLATE], ["correct what it names"]),
    # Pod Security.
    (
        FORBIDDEN + 'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false '
        '(container "trainer" must set securityContext.allowPrivilegeEscalation=false)',
        [TEMPLATE],
        ["restricted:latest", "the template's pod and containers"],
    ),
    (
        FORBIDDEN + 'violates PodSecurity "restricted:latest": unrestricted capabilities '
        '(container "spot-sidecar" must not include "CHOWN" in capabilities.add), runAsUser=0 '
        '(container "spot-sidecar" must not set runAsUser=0)',
        [TEMPLATE],
        ["runAsUser (not 0)"],
    ),
    (
        FORBIDDEN + 'violates PodSecurity "restricted:latest": runAsNonRoot != true (pod or '
        'containers "spot-sidecar", "trainer" must set securityContext.runAsNonRoot=true)',
        [TEMPLATE, TEMPLATE],
        ["runAsUser (not 0)", "the template's pod and containers"],
    ),
    # What the pod names and is not there.
    (
        FORBIDDEN + 'error looking up service account research/trainer: serviceaccount "trainer" '
        "not found",
        [NAMESPACE],
        ["create ServiceAccount trainer"],
    ),
    (
        FORBIDDEN + 'volume with secret.secretName="keys" is not allowed because service account '
        "trainer does not reference that secret",
        [NAMESPACE],
        ["ServiceAccount trainer"],
    ),
    (
        FORBIDDEN + "no PriorityClass with name experiment was found",
        [CLUSTER],
        ["create PriorityClass experiment"],
    ),
    (
        FORBIDDEN + 'pod rejected: RuntimeClass "gvisor" not found',
        [CLUSTER],
        ["create RuntimeClass gvisor"],
    ),
    # The operator's rights.
    (
        (
            'pods is forbidden: User "system:serviceaccount:spot:operator" cannot create resource '
            '"pods" in API group "" in the namespace "research"'
        ),
        [RELEASE],
        ["rbac.create"],
    ),
    (
        FORBIDDEN + "cannot set blockOwnerDeletion if an ownerReference refers to a resource you "
        "can't set finalizers on: , <nil>",
        [RELEASE],
        ["rbac.create"],
    ),
    # Other admission plugins.
    (
        FORBIDDEN + "pod tolerations (possibly merged with namespace default tolerations) conflict "
        "with its namespace whitelist",
        [NAMESPACE],
        ["tolerationsWhitelist"],
    ),
    (
        (
            'pods "q-1-0" is forbidden: pod node label selector conflicts with its namespace node '
            "label selector"
        ),
        [TEMPLATE],
        ["nodeSelector"],
    ),
    (
        FORBIDDEN + "unable to validate against any security context constraint: [provider "
        '"restricted-v2": Forbidden: not usable by user or serviceaccount, '
        ".initContainers[0].runAsUser: Invalid value: 65532: must be in the ranges: "
        "[1000680000, 1000689999]]",
        [CLUSTER],
        ["65532", "nonroot-v2"],
    ),
    (
        FORBIDDEN + "unable to validate against any security context constraint: [provider "
        "restricted-v2: .containers[0].privileged: Invalid value: true]",
        [TEMPLATE],
        ["securityContext"],
    ),
    # A sidecar beside a script without runAsUser is root: no constraint for user 65532 admits it.
    (
        FORBIDDEN + 'unable to validate against any security context constraint: [provider "anyuid"'
        ": Forbidden: not usable by user or serviceaccount, provider restricted-v2: "
        ".initContainers[0].runAsUser: Invalid value: 0: must be in the ranges: "
        "[1001180000, 1001189999], provider restricted-v2: .initContainers[0].capabilities.add: "
        'Invalid value: "CHOWN": capability may not be added]',
        [TEMPLATE],
        ["runAsUser (not 0)", "openshift.io/sa.scc.uid-range"],
    ),
    (
        FORBIDDEN + "unable to validate against any security context constraint: [spec."
        "initContainers[0].securityContext.runAsUser: Invalid value: 0: running with the root UID "
        "is forbidden]",
        [TEMPLATE],
        ["runAsUser (not 0)"],
    ),
    (
        FORBIDDEN + "unable to validate against any security context constraint: [provider "
        "restricted-v2: .initContainers[0].runAsUser: Invalid value: 1000: must be in the ranges: "
        "[1001180000, 1001189999], provider restricted-v2: .containers[0].runAsUser: Invalid "
        "value: 1000: must be in the ranges: [1001180000, 1001189999]]",
        [CLUSTER, TEMPLATE],
        ["user 1000", "another runAsUser"],
    ),
    # Webhooks and policies, in their own forms.
    (
        (
            'admission webhook "validate.kyverno.svc-fail" denied the request: \n\nresource '
            "Pod/research/q-1-0 was blocked due to the following policies \n\nrequire-limits:\n  "
            "validate-resources: 'validation error: CPU and memory limits are required. rule "
            "validate-resources failed at path /spec/initContainers/0/resources/limits/cpu/'"
        ),
        [CLUSTER, RELEASE],
        ["validate.kyverno.svc-fail", "spot-sidecar", "sidecar.cpuLimit"],
    ),
    (
        (
            'admission webhook "validation.gatekeeper.sh" denied the request: '
            "[container-must-have-limits] container <spot-sidecar> has no cpu limit"
        ),
        [CLUSTER, RELEASE],
        ["validation.gatekeeper.sh"],
    ),
    (
        (
            'admission webhook "validation.gatekeeper.sh" denied the request: [allowed-volumes] '
            "volume spot-shared is of a kind that is not allowed"
        ),
        [CLUSTER, RELEASE],
        ["volumes spot-*"],
    ),
    (
        (
            'admission webhook "validation.gatekeeper.sh" denied the request: [repos] container '
            "<trainer> has an invalid image repo"
        ),
        [CLUSTER],
        ["correct in a new job"],
    ),
    (
        FORBIDDEN + "ValidatingAdmissionPolicy 'limits' with binding 'limits-b' denied request: "
        "every container needs a cpu limit: spot-sidecar",
        [CLUSTER, RELEASE],
        ["limits objects"],
    ),
    (
        FORBIDDEN + "ValidatingAdmissionPolicy 'owner' denied request: label owner is missing",
        [CLUSTER],
        ["what owner names"],
    ),
    (
        FORBIDDEN + "image policy webhook backend denied one or more images: not signed",
        [CLUSTER],
        ["image policy webhook"],
    ),
    (
        (
            'Internal error occurred: failed calling webhook "inject.linkerd.io": Post '
            '"https://linkerd:443/?timeout=10s": connect: connection refused'
        ),
        [CLUSTER],
        ["inject.linkerd.io must pass every pod"],
    ),
    # A webhook may quote what others say.
    (
        'admission webhook "x" denied the request: exceeded quota: team, requested: pods=1',
        [CLUSTER],
        ["what x names"],
    ),
    # Nobody is blamed for what is not known.
    ("the server could not find the requested resource", [], []),
    ("etcdserver: request is too large", [], []),
    ("", [], []),
]


OF_PURGES: list[tuple[str, list[Owner], list[str]]] = [
    (
        (
            'Pod "q-purge-1" is invalid: spec.containers[0].resources.requests: Invalid value: '
            '"100m": must be less than or equal to cpu limit of 50m'
        ),
        [RELEASE],
        ["limit 50m", "sidecar.cpuLimit"],
    ),
    (
        'Pod "q-purge-1" is invalid: spec.containers[0].image: Invalid value: " ": x',
        [RELEASE],
        ["spec.containers[0] is spot-purge"],
    ),
    (
        'Pod "q-purge-1" is invalid: spec.containers[1].image: Required value',
        [CLUSTER],
        ["webhook of the cluster added it"],
    ),
    (
        FORBIDDEN + "unable to validate against any security context constraint: [provider "
        "restricted-v2: .containers[0].runAsUser: Invalid value: 65532: must be in the ranges: "
        "[1000680000, 1000689999]]",
        [CLUSTER],
        ["65532", "nonroot-v2"],
    ),
    (
        FORBIDDEN + "unable to validate against any security context constraint: [provider "
        "restricted-v2: .containers[0].runAsUser: Invalid value: 0: must be in the ranges: "
        "[1000680000, 1000689999]]",
        [CLUSTER],
        ["user 0", "anyuid"],
    ),
    (
        FORBIDDEN + 'violates PodSecurity "restricted:latest": runAsUser=0 (container "spot-purge" '
        "must not set runAsUser=0)",
        [NAMESPACE],
        ["changed from restricted:latest"],
    ),
    (
        (
            'admission webhook "validate.kyverno.svc-fail" denied the request: require-limits: '
            "rule validate-resources failed at path /spec/containers/0/resources/limits/cpu/"
        ),
        [CLUSTER, RELEASE],
        ["sidecar.cpuLimit"],
    ),
    (
        'Pod "q-purge-1" is invalid: metadata.labels: Invalid value: "a b": a valid label must x',
        [],
        [],
    ),
]


@pytest.mark.parametrize(("message", "owners", "says"), OF_PURGES)
def test_the_one_container_of_a_purge_pod_is_the_operators(
    message: str, owners: list[Owner], says: list[str]
) -> None:
    """And no new job is advised: the job whose checkpoints it deletes is deleted itself."""
    added = not_asked_for(message, {"spec": {"containers": [{}]}})
    assert [one.owner for one in help_with_purge(message, added)] == owners
    told = with_help_for_purge(message, added)
    assert told.startswith(" ".join(message[:50].split()))
    for text in says:
        assert text in told
    assert "new job" not in told


@pytest.mark.parametrize(("message", "owners", "says"), TABLE)
def test_who_can_help(message: str, owners: list[Owner], says: list[str]) -> None:
    found = help_with(message)
    assert [one.owner for one in found] == owners
    told = with_help(message)
    assert told.startswith(" ".join(message[:50].split()))
    for text in says:
        assert text in told


@pytest.mark.parametrize(("message", "owners", "says"), TABLE)
def test_only_what_the_template_alone_can_mend_ends_an_attempt(
    message: str, owners: list[Owner], says: list[str]
) -> None:
    """Else the job waits and says for whom: a quota is raised, a value of the chart is set."""
    assert is_templates(message) is (bool(owners) and set(owners) == {TEMPLATE})


def test_a_remedy_is_told_also_where_the_refusal_is_long() -> None:
    listed = ",".join(f"container-{number}" for number in range(300))
    told = with_help(f"failed quota: q: must specify limits.cpu for: {listed},spot-sidecar")
    assert len(told.encode()) <= CONDITION_MESSAGE
    assert "sidecar.cpuLimit" in told


PIECES = st.sampled_from([word for message, _, _ in TABLE for word in message.split(" ")])


@given(st.lists(PIECES | st.text(max_size=5), max_size=60).map(" ".join))
def test_any_text_has_an_answer_of_bounded_length(message: str) -> None:
    known = help_with(message)
    assert all(one.remedy for one in known)
    assert len(with_help(message).encode()) <= max(CONDITION_MESSAGE, len(message.encode()))
