"""`python -m spot_operator`: it starts, leads, reconciles, hands over, and ends when told."""

import json
import signal
import time
from typing import Any

import pytest
from integration.operator.conftest import MakeOperator
from integration.operator.process import NAMESPACE, OperatorProcess, wait_until
from kit.jobs import a_job_manifest
from stage.kube import Kube

pytestmark = pytest.mark.apiserver

Json = dict[str, Any]

START_SECONDS = 40.0
"""Python, kopf, the lease of whoever led before, the first lists; on a busy machine."""


def wait_for_leader(*operators: OperatorProcess) -> OperatorProcess:
    wait_until(lambda: any(one.leads() for one in operators), "leader", limit=START_SECONDS)
    return next(one for one in operators if one.leads())


def in_operator_namespace(kube: Kube, kind: str, name: str) -> Json:
    found = Kube(kube.program, kube.kubeconfig, NAMESPACE).get(kind, name)
    assert found is not None
    return found


def test_a_job_gets_its_pod_and_a_deleted_job_loses_it(
    kube: Kube, an_operator: MakeOperator
) -> None:
    operator = an_operator("first")
    wait_for_leader(operator)
    assert operator.get("/livez") == (200, "leading\n")
    kube.apply(a_job_manifest("one"))
    wait_until(lambda: kube.get("pod", "one-1-0") is not None, "pod")
    pod = kube.get("pod", "one-1-0")
    assert pod is not None
    assert json.loads(pod["metadata"]["annotations"]["spottraining.dev/grant"])["attempt"] == 1
    assert "BEGIN CERTIFICATE" in pod["metadata"]["annotations"]["spottraining.dev/ca"]
    wait_until(lambda: status(kube, "one").get("state") == "Created", "state Created")
    assert operator.metric("attempts_total") == 1
    assert operator.metric("reconcile_errors_total") == 0

    kube.delete("stj", "one")
    wait_until(lambda: kube.get("pod", "one-1-0") is None, "end of the pod", limit=60)


def status(kube: Kube, name: str) -> Json:
    job = kube.get("stj", name)
    found: Json = (job or {}).get("status") or {}
    return found


def test_at_rest_nothing_is_written(kube: Kube, an_operator: MakeOperator) -> None:
    operator = an_operator("quiet")
    wait_for_leader(operator)
    kube.apply(a_job_manifest("rest", suspend=True))
    wait_until(lambda: bool(status(kube, "rest").get("conditions")), "status")
    job = kube.get("stj", "rest")
    time.sleep(3)
    assert kube.get("stj", "rest") == job
    kube.delete("stj", "rest")


def test_sigterm_hands_over_at_once(kube: Kube, an_operator: MakeOperator) -> None:
    one, two = an_operator("one"), an_operator("two")
    leader = wait_for_leader(one, two)
    other = two if leader is one else one
    wait_until(lambda: other.get("/readyz") == (200, "standing by\n"), "second replica")
    began = time.monotonic()
    assert leader.end() == 0
    wait_until(other.leads, "new leader", limit=10)
    assert time.monotonic() - began < 10
    published = in_operator_namespace(kube, "endpointslice", "spot-training-reports-ipv4")
    assert [port["port"] for port in published["ports"]] == [other.reports_port]


def test_sigkill_is_survived_by_the_other(kube: Kube, an_operator: MakeOperator) -> None:
    one, two = an_operator("eins"), an_operator("zwei")
    leader = wait_for_leader(one, two)
    other = two if leader is one else one
    leader.end(signal.SIGKILL)
    wait_until(other.leads, "new leader", limit=START_SECONDS)
    kube.apply(a_job_manifest("two"))
    wait_until(lambda: kube.get("pod", "two-1-0") is not None, "pod")
    kube.delete("stj", "two")


def test_who_lost_the_lease_ends(kube: Kube, an_operator: MakeOperator) -> None:
    operator = an_operator("usurped")
    wait_for_leader(operator)
    theirs = {"spec": {"holderIdentity": "somebody else", "leaseDurationSeconds": 1}}
    Kube(kube.program, kube.kubeconfig, NAMESPACE).merge("lease", "spot-training-operator", theirs)
    process = operator._process
    assert process is not None
    assert process.wait(timeout=20) == 1


def test_the_shells_own_probe_answers(kube: Kube, an_operator: MakeOperator) -> None:
    operator = an_operator("probed")
    wait_for_leader(operator)
    wait_until(lambda: operator.get("/livez", operator.probe_port)[0] == 200, "probe of the shell")
    assert operator.get("/livez", operator.probe_port)[1] == '{"operator": "leading"}'
