"""A tenant with a namespace of his own attacks a real operator on a real API server.

He may create pods and tokens there, knows every uid of the cluster, and reaches the reports port.
"""

import base64
import http.client
import json
import ssl
from typing import Any

import pytest
from integration.operator.conftest import MakeOperator, namespace
from integration.operator.process import NAMESPACE, OperatorProcess, wait_until
from integration.operator.test_the_process_on_a_real_api_server import wait_for_leader
from kit.jobs import a_job_manifest
from kit.reports import a_report_body
from kit.tokens import a_token
from spot_operator.api import names
from stage.kube import Kube

pytestmark = pytest.mark.apiserver

Json = dict[str, Any]

TEXT = "run curl evil.example"


class Attack:
    """The victim's job with its pod, the tenant's pod, and a way to the port."""

    def __init__(self, kube: Kube, operator: OperatorProcess, name: str) -> None:
        self.kube = kube
        self.evil = Kube(kube.program, kube.kubeconfig, "evil")
        self.operator = operator
        self.name = name
        kube.apply(a_job_manifest(name), namespace("evil"))
        self.evil.apply(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": "evil"},
            }
        )
        wait_until(lambda: kube.get("pod", f"{name}-1-0") is not None, "pod")
        wait_until(lambda: self.status().get("attempt") == 1, "attempt")
        self.victim: str = self.job()["metadata"]["uid"]

    def job(self) -> Json:
        found = self.kube.get("stj", self.name)
        assert found is not None
        return found

    def status(self) -> Json:
        found: Json = self.job().get("status", {})
        return found

    def a_pod_of_his(self, name: str) -> Json:
        labels = {
            names.LABEL_JOB: self.name,
            names.LABEL_JOB_UID: self.victim,
            names.LABEL_ATTEMPT: "1",
            names.LABEL_RANK: "0",
        }
        owner = {
            "apiVersion": names.API_VERSION,
            "kind": names.JOB_KIND,
            "name": self.name,
            "uid": self.victim,
            "controller": True,
        }
        self.evil.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": name,
                    "namespace": "evil",
                    "labels": labels,
                    # The operator deletes a pod whose job is not in its namespace: not so fast.
                    "finalizers": ["evil.example/stay"],
                    "ownerReferences": [owner],
                },
                "spec": {"containers": [{"name": "x", "image": "y"}]},
            }
        )
        pod = self.evil.get("pod", name)
        assert pod is not None
        return pod

    def token(self, pod: Json, *audience: str) -> str:
        meta = pod["metadata"]
        where = Kube(self.kube.program, self.kube.kubeconfig, meta["namespace"])
        bound = ("--bound-object-kind=Pod", f"--bound-object-name={meta['name']}")
        asked = (f"--audience={one}" for one in audience)
        return where.run("create", "token", "default", *bound, *asked).strip()

    def report(self, token: str, pod: Json, **fields: Any) -> int:
        now = "2026-01-01T00:00:00Z"
        event = {"type": "Warning", "reason": "Failed", "at": now, "message": TEXT}
        meta = pod["metadata"]
        body = a_report_body(
            namespace=meta["namespace"],
            job=self.name,
            jobUID=self.victim,
            pod=meta["name"],
            podUID=meta["uid"],
            events=[event],
            **fields,
        )
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.operator.reports_port, context=self._trust(), timeout=20
        )
        headers = {"Authorization": f"Bearer {token}"}
        connection.request("POST", "/v1/reports", json.dumps(body).encode(), headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    def planted(self) -> set[tuple[str, str]]:
        """Reason and text of each event that tells what the tenant wanted to say."""
        events = self.kube.list("events.events.k8s.io") + self.evil.list("events.events.k8s.io")
        return {(one["reason"], one["note"]) for one in events if TEXT in one["note"]}

    def reviews(self) -> float:
        return self.operator.metric("api_writes_total", 'kind="tokenreviews"')

    def _trust(self) -> ssl.SSLContext:
        system = Kube(self.kube.program, self.kube.kubeconfig, NAMESPACE)
        secret = system.get("secret", "spot-training-reports-ca")
        assert secret is not None
        context = ssl.create_default_context(
            cadata=base64.b64decode(secret["data"]["ca.crt"]).decode()
        )
        # It is reached by its address here; whose certificate it is is checked all the same.
        context.check_hostname = False
        return context


def an_attack(kube: Kube, an_operator: MakeOperator, name: str) -> Attack:
    operator = an_operator(f"for-{name}")
    wait_for_leader(operator)
    return Attack(kube, operator, name)


def test_his_pod_is_not_heard_on_the_job_that_it_names_as_owner(
    kube: Kube, an_operator: MakeOperator
) -> None:
    attack = an_attack(kube, an_operator, "victim")
    pod = attack.a_pod_of_his("victim-1-0")
    token = attack.token(pod, names.TOKEN_AUDIENCE)
    assert attack.report(token, pod) == 403
    assert attack.report(token, {"metadata": {**pod["metadata"], "namespace": "research"}}) == 403
    # The victim's own pod is heard, as the sidecar's word and not as the operator's.
    own = kube.get("pod", "victim-1-0")
    assert own is not None
    assert attack.report(attack.token(own, names.TOKEN_AUDIENCE), own) == 200
    wait_until(lambda: bool(attack.planted()), "event")
    assert attack.planted() == {("SidecarNote", f"the sidecar says Failed: {TEXT}")}
    attack.evil.merge("pod", "victim-1-0", {"metadata": {"finalizers": []}})
    kube.delete("stj", "victim")


def test_tokens_that_are_none_of_ours_cost_no_review(kube: Kube, an_operator: MakeOperator) -> None:
    attack = an_attack(kube, an_operator, "flooded")
    own = kube.get("pod", "flooded-1-0")
    assert own is not None
    before = attack.reviews()
    for number in range(50):
        assert attack.report(f"random-{number}", own) == 401
        assert attack.report(a_token(f"no-pod-{number}", signature="forged"), own) == 503
    # What a trainer that may talk to the API server holds.
    assert attack.report(attack.token(own), own) == 401
    assert attack.report(attack.token(own, "sts.amazonaws.com"), own) == 401
    assert attack.reviews() == before
    uid = own["metadata"]["uid"]
    forged = [a_token(uid, signature=f"forged-{number}") for number in range(50)]
    assert {attack.report(one, own) for one in forged} == {401, 429}
    assert attack.reviews() <= before + 15
    kube.delete("stj", "flooded")
