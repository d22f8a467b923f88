"""The authority: made once, a successor in time, and at no moment a pod that trusts nobody."""

import asyncio
import base64
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from kit.clock import EPOCH, FakeClock, FakeEntropy, in_fake_time
from kit.fakeapi import FakeApiServer, FakeClient, calls, fail
from spot_operator.control.errors import Conflict, Forbidden
from spot_operator.control.resource import NAMESPACES, SECRETS
from spot_operator.reports.authority import Authority, AuthorityError, advance, issue
from spot_operator.reports.tls import ServerTls, service_names

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def certificates(bundle: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(bundle.encode())


def signed_by_one_of(leaf: bytes, bundle: str) -> bool:
    certificate = x509.load_pem_x509_certificate(leaf)
    for authority in certificates(bundle):
        with suppress(InvalidSignature, ValueError):
            certificate.verify_directly_issued_by(authority)
            return True
    return False


def test_an_empty_secret_is_filled_once() -> None:
    data, authority = advance({}, NOW)
    assert set(data) == {"ca.key", "ca.crt"}
    assert advance(data, NOW + DAY) == (data, authority)


def test_whoever_ran_for_a_year_trusts_whoever_signs() -> None:
    """Ten years, looked at every 30 days; each pod knows only the bundle of its birth."""
    data: dict[str, str] = {}
    born: list[tuple[datetime, str]] = []
    signers: set[bytes] = set()
    for month in range(122):
        now = NOW + month * 30 * DAY
        data, authority = advance(data, now)
        signers.add(authority.signer.certificate)
        leaf = issue(authority, ("reports.spot-system.svc",), now).certificate
        born.append((now, authority.bundle))
        for birth, bundle in born:
            if now - birth <= 360 * DAY:
                assert signed_by_one_of(leaf, bundle), (birth, now)
    assert len(signers) == 3


def test_an_operator_away_for_ever_starts_anew() -> None:
    data, old = advance({}, NOW)
    later, authority = advance(data, NOW + 6 * 365 * DAY)
    assert authority.signer != old.signer
    assert set(later) == {"ca.key", "ca.crt"}


@pytest.mark.parametrize(
    "spoil",
    [
        {"ca.crt": ""},
        {"ca.key": "bm90IGEga2V5"},
        {"ca.crt": "%%%"},
        {"ca.crt": advance({}, NOW)[0]["ca.crt"]},
    ],
    ids=["half", "no key", "no base64", "another's certificate"],
)
def test_a_spoilt_secret_is_named_and_not_replaced(spoil: dict[str, str]) -> None:
    data, _ = advance({}, NOW)
    with pytest.raises(AuthorityError, match="remove both keys"):
        advance({**data, **spoil}, NOW)


def own_authority(*extensions: x509.ExtensionType) -> dict[str, str]:
    """What somebody made by other means and put into the Secret."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "our own")])
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW)
        .not_valid_after(NOW + 2000 * DAY)
    )
    for one in extensions:
        builder = builder.add_extension(one, critical=False)
    parts = {
        "ca.key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "ca.crt": builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM),
    }
    return {part: base64.b64encode(text).decode() for part, text in parts.items()}


KEY_ID = x509.SubjectKeyIdentifier(b"0123")
SIGNS = x509.BasicConstraints(ca=True, path_length=None)


@pytest.mark.parametrize(
    "extensions",
    [(), (SIGNS,), (KEY_ID,), (KEY_ID, x509.BasicConstraints(ca=False, path_length=None))],
    ids=["bare", "without a key id", "without constraints", "no authority"],
)
def test_an_authority_that_nobody_can_use_is_named(
    extensions: tuple[x509.ExtensionType, ...],
) -> None:
    with pytest.raises(AuthorityError, match="remove both keys"):
        advance(own_authority(*extensions), NOW)


def test_an_authority_made_by_other_means_is_used() -> None:
    data = own_authority(KEY_ID, SIGNS)
    kept, authority = advance(data, NOW)
    assert kept == data
    leaf = issue(authority, ("reports.spot-system.svc",), NOW).certificate
    assert signed_by_one_of(leaf, authority.bundle)


@pytest.mark.parametrize("beside", ["text", "key"])
def test_pods_are_told_the_certificates_and_nothing_that_stands_beside_them(beside: str) -> None:
    data, authority = advance({}, NOW)
    text = {"text": "Issuer: München\n".encode("latin-1"), "key": authority.signer.key}[beside]
    mixed = base64.b64encode(text + authority.signer.certificate).decode()
    assert advance({**data, "ca.crt": mixed}, NOW) == (data, authority)


def test_a_server_certificate_names_the_service_and_ends_in_a_month() -> None:
    _, authority = advance({}, NOW)
    names = service_names("spot-training-reports", "spot-system")
    pair = issue(authority, names, NOW)
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert extension.value.get_values_for_type(x509.DNSName) == [
        "spot-training-reports.spot-system.svc",
        "spot-training-reports.spot-system",
        "spot-training-reports",
    ]
    assert pair.expires() == NOW + 30 * DAY


def test_a_service_of_a_long_name_gets_its_certificate() -> None:
    _, authority = advance({}, NOW)
    name = "a" * 63 + ".namespace.svc"
    assert issue(authority, (name,), NOW).expires() > NOW


class Rig:
    """Two replicas and the chart's Secret."""

    def __init__(self, clock: FakeClock) -> None:
        self.server = FakeApiServer(clock, FakeEntropy(0))
        self.client = FakeClient(self.server, clock=clock)
        self.clock = clock

    async def create_secret(self, data: dict[str, str] | None = None) -> None:
        await self.client.create(NAMESPACES, {"metadata": {"name": "spot-system"}})
        meta = {"name": "reports-ca", "namespace": "spot-system"}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data or {}}
        await self.client.create(SECRETS, body)

    async def data(self) -> dict[str, str]:
        secret = await self.client.get(SECRETS, "reports-ca", namespace="spot-system")
        return dict(secret["data"])

    def replica(self, *, leads: bool) -> ServerTls:
        return ServerTls(
            self.client,
            self.clock,
            namespace="spot-system",
            secret_name="reports-ca",
            dns_names=service_names("spot-training-reports", "spot-system"),
            writes=lambda: leads,
        )


def test_the_leader_fills_the_secret_and_the_others_wait_for_it() -> None:
    async def scenario(clock: FakeClock) -> None:
        rig = Rig(clock)
        await rig.create_secret()
        leader, other = rig.replica(leads=True), rig.replica(leads=False)
        await other.refresh()
        assert other.bundle == ""
        assert await rig.data() == {}
        await leader.refresh()
        await other.refresh()
        stored = base64.b64decode((await rig.data())["ca.crt"]).decode()
        assert leader.bundle == other.bundle == stored

    in_fake_time(scenario)


def test_two_leaders_at_once_end_with_one_authority() -> None:
    async def scenario(clock: FakeClock) -> None:
        rig = Rig(clock)
        await rig.create_secret()
        first, second = rig.replica(leads=True), rig.replica(leads=True)
        rig.client.faults.latency = 0.1
        ends = await asyncio.gather(first.refresh(), second.refresh(), return_exceptions=True)
        assert sum(isinstance(end, Conflict) for end in ends) == 1
        await first.refresh()
        await second.refresh()
        assert first.bundle == second.bundle != ""

    in_fake_time(scenario)


def test_the_server_certificate_is_renewed_before_it_ends() -> None:
    async def scenario(clock: FakeClock) -> None:
        rig = Rig(clock)
        await rig.create_secret()
        tls = rig.replica(leads=True)
        served = []
        for _ in range(5):
            await tls.refresh()
            assert tls._served is not None
            assert tls._served.expires() > clock.now() + 9 * DAY
            served.append(tls._served.certificate)
            await clock.sleep(10 * 86400)
        assert len(set(served)) == 3

    in_fake_time(scenario, limit=100 * 86400)


def test_a_certificate_that_has_ended_is_none() -> None:
    """The Secret could not be read for a month: no sidecar can report any more."""

    async def scenario(clock: FakeClock) -> None:
        rig = Rig(clock)
        await rig.create_secret()
        tls = rig.replica(leads=True)
        await tls.refresh()
        assert tls.ready
        rig.client.faults.on(calls("get", SECRETS), before=fail(Forbidden("no")))
        await clock.sleep(40 * 86400)
        with pytest.raises(Forbidden):
            await tls.refresh()
        assert not tls.ready

    in_fake_time(scenario, limit=100 * 86400)


def test_a_missing_secret_says_what_to_do() -> None:
    async def scenario(clock: FakeClock) -> None:
        with pytest.raises(AuthorityError, match="spot-system/reports-ca is missing"):
            await Rig(clock).replica(leads=True).refresh()

    in_fake_time(scenario)


def test_the_authority_itself_is_a_strict_one() -> None:
    _, authority = advance({}, EPOCH)
    expect_authority(authority)


def expect_authority(authority: Authority) -> None:
    (certificate,) = certificates(authority.bundle)
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert basic.critical
    assert basic.value.ca
    assert usage.value.key_cert_sign
    assert not usage.value.digital_signature
