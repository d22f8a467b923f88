"""Where the configuration is looked for, and how it stays fresh."""

import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kit.clock import HandClock
from spot_operator.control.credentials import REREAD_SECONDS, CredentialsError, load


def an_authority() -> str:
    """A self-signed certificate, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


class Machine:
    """A home directory, an environment, and perhaps a service account."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._patch = monkeypatch
        self.clock = HandClock()
        monkeypatch.setenv("HOME", str(folder))
        for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
            monkeypatch.delenv(name, raising=False)

    def pod(self, token: str) -> None:
        """Pretend to run in a cluster."""
        module = "kubernetes.aio.config.incluster_config"
        (self.folder / "ca.crt").write_text(an_authority())
        self.token(token)
        self._patch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
        self._patch.setenv("KUBERNETES_SERVICE_PORT", "443")
        self._patch.setattr(f"{module}.SERVICE_TOKEN_FILENAME", str(self.folder / "token"))
        self._patch.setattr(f"{module}.SERVICE_CERT_FILENAME", str(self.folder / "ca.crt"))

    def token(self, text: str) -> None:
        """Rotate the service account's token."""
        (self.folder / "token").write_text(text)

    def kubeconfig(self, name: str, server: str, **user: Any) -> str:
        """Write one, with two contexts."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        other = {"server": "https://other.example:6443", "insecure-skip-tls-verify": True}
        contexts = [{"name": c, "context": {"cluster": c, "user": "me"}} for c in ("here", "there")]
        document = {
            "current-context": "here",
            "contexts": contexts,
            "clusters": [
                {"name": "here", "cluster": {"server": server}},
                {"name": "there", "cluster": other},
            ],
            "users": [{"name": "me", "user": user}],
        }
        path.write_text(json.dumps(document))
        return str(path)

    def use(self, kubeconfig: str) -> None:
        """Set KUBECONFIG."""
        self._patch.setenv("KUBECONFIG", kubeconfig)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


async def test_a_named_kubeconfig_comes_first(machine: Machine) -> None:
    machine.pod("pod-token")
    machine.use(machine.kubeconfig("env", "http://env.example"))
    named = machine.kubeconfig("named", "http://named.example", token="t1")
    connection = await load(machine.clock, kubeconfig=named)
    assert connection.host == "http://named.example"
    assert await connection.headers() == {"Authorization": "Bearer t1"}
    assert connection.tls is None


async def test_the_environment_comes_next_then_the_pod_then_the_home(machine: Machine) -> None:
    machine.kubeconfig(".kube/config", "http://home.example")
    assert (await load(machine.clock)).host == "http://home.example"
    machine.pod("pod-token")
    assert (await load(machine.clock)).host == "https://10.0.0.1:443"
    machine.use(machine.kubeconfig("env", "http://env.example"))
    assert (await load(machine.clock)).host == "http://env.example"


async def test_nothing_at_all_is_an_error_that_says_what_to_do(machine: Machine) -> None:
    with pytest.raises(CredentialsError, match="name a kubeconfig"):
        await load(machine.clock)


async def test_a_broken_kubeconfig_is_an_error_that_names_it(machine: Machine) -> None:
    broken = machine.folder / "broken"
    broken.write_text('{"contexts": []}')
    with pytest.raises(CredentialsError, match="broken"):
        await load(machine.clock, kubeconfig=str(broken))
    with pytest.raises(CredentialsError, match="missing"):
        await load(machine.clock, kubeconfig=str(machine.folder / "missing"))


async def test_a_context_can_be_chosen(machine: Machine) -> None:
    named = machine.kubeconfig("named", "http://here.example")
    connection = await load(machine.clock, kubeconfig=named, context="there")
    assert connection.host == "https://other.example:6443"
    assert connection.tls is not None
    assert connection.tls.verify_mode is ssl.CERT_NONE
    with pytest.raises(CredentialsError, match="nowhere"):
        await load(machine.clock, kubeconfig=named, context="nowhere")


async def test_a_pod_verifies_the_server_by_its_own_authority(machine: Machine) -> None:
    machine.pod("pod-token")
    connection = await load(machine.clock)
    assert connection.tls is not None
    assert connection.tls.verify_mode is ssl.CERT_REQUIRED
    assert len(connection.tls.get_ca_certs()) == 1


async def test_a_rotated_token_is_used_within_the_minute(machine: Machine) -> None:
    machine.pod("first")
    connection = await load(machine.clock)
    machine.token("second")
    assert await connection.headers() == {"Authorization": "bearer first"}
    machine.clock.step(REREAD_SECONDS + 1)
    assert await connection.headers() == {"Authorization": "bearer second"}


async def test_a_refused_token_is_replaced_at_once(machine: Machine) -> None:
    machine.pod("first")
    connection = await load(machine.clock)
    machine.token("second")
    await connection.renew()
    assert await connection.headers() == {"Authorization": "bearer second"}


async def test_a_client_certificate_needs_no_header(machine: Machine) -> None:
    named = machine.kubeconfig("named", "http://named.example")
    connection = await load(machine.clock, kubeconfig=named)
    assert await connection.headers() == {}
