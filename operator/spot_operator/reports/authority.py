"""The certificate authority of the reports server: made once, kept in one Secret, rotated by plan.

A pod learns the authorities it may trust when it is created, and may then run for months. So a
successor is made long before it signs anything, and every pod born in between trusts both:

    |── current signs ─────────────────────|── successor signs ───────────────|
                        |── pods are told both ─────────────────|
                   PREPARE before the end  SWITCH before the end  the end of current

`advance` decides this from the Secret's data and the time alone, so two leaders after each other
come to the same end, and the Secret's resourceVersion settles who wrote.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Authority", "AuthorityError", "KeyPair", "advance", "issue"]

LIFE: Final = timedelta(days=5 * 365)
PREPARE: Final = timedelta(days=2 * 365)
"""A successor is made when the current authority has so much life left …"""
SWITCH: Final = timedelta(days=365)
"""… and signs when it has so much left: pods a year old still trust what signs."""
SERVER_LIFE: Final = timedelta(days=30)
_CLOCKS_DIFFER: Final = timedelta(minutes=5)

_CURRENT: Final = ("ca.key", "ca.crt")
_NEXT: Final = ("next.key", "next.crt")
_UNUSABLE: Final = (
    KeyError,
    TypeError,
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
)
"""What reading a key or a certificate raises that somebody else put there."""


class AuthorityError(Exception):
    """The Secret holds something that is not an authority; the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and its certificate, both PEM."""

    key: bytes
    certificate: bytes

    def expires(self) -> datetime:
        """When the certificate ends, aware."""
        return x509.load_pem_x509_certificate(self.certificate).not_valid_after_utc


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs, and whom pods are told to trust."""

    signer: KeyPair
    bundle: str


def advance(data: Mapping[str, str], now: datetime) -> tuple[dict[str, str], Authority]:
    """What the Secret should hold at `now`, and the authority to use with it.

    `data` is the Secret's as stored (base64). When the first result equals it there is nothing to
    write; otherwise nothing may be signed before the write succeeded.

    Raises:
        AuthorityError: the Secret holds something that cannot be read.
    """
    current, successor = _read(data, _CURRENT), _read(data, _NEXT)
    if current is None or current.expires() <= now:
        current, successor = successor, None
    if current is None or current.expires() <= now:
        current = _new_authority(now)
    if successor is None and current.expires() - now <= PREPARE:
        successor = _new_authority(now)
    kept = {**_written(_CURRENT, current), **(_written(_NEXT, successor) if successor else {})}
    signs_next = successor is not None and current.expires() - now <= SWITCH
    signer = successor if successor is not None and signs_next else current
    trusted = [pair.certificate.decode() for pair in (current, successor) if pair]
    return kept, Authority(signer=signer, bundle="".join(trusted))


def issue(authority: Authority, dns_names: tuple[str, ...], now: datetime) -> KeyPair:
    """A server certificate for these names, good for 30 days or to the authority's end."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer = x509.load_pem_x509_certificate(authority.signer.certificate)
    end = min(now + SERVER_LIFE, signer.not_valid_after_utc)
    builder = _builder(dns_names[0], key.public_key(), signer.subject, now, end)
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(signs_certificates=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName([x509.DNSName(name) for name in dns_names]), False),
        (
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            False,
        ),
    ):
        builder = builder.add_extension(extension, critical=critical)
    certificate = builder.sign(_private(authority.signer.key), hashes.SHA256())
    return _pair(key, certificate)


def _new_authority(now: datetime) -> KeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    # The name tells two authorities apart in a bundle; clients find the signer by key id as well.
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, f"spot-training-reports {now:%Y-%m-%d}")]
    )
    builder = (
        _builder(subject, key.public_key(), subject, now, now + LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _pair(key, builder.sign(key, hashes.SHA256()))


def _builder(
    subject: str | x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    now: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    if isinstance(subject, str):
        # A common name has at most 64 characters, a service's name may have more; names that
        # matter stand in the subject alternative names.
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject[:64])])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(end)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pair(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> KeyPair:
    return KeyPair(
        key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        certificate=certificate.public_bytes(Encoding.PEM),
    )


def _private(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("not an elliptic-curve key")
    return key


def _read(data: Mapping[str, str], names: tuple[str, str]) -> KeyPair | None:
    if not any(data.get(name) for name in names):
        return None
    try:
        key, text = (base64.b64decode(data[name], validate=True) for name in names)
        found = x509.load_pem_x509_certificates(text)
        _check(key, found[0])
    except _UNUSABLE as error:
        raise AuthorityError(
            f"{names[0]} and {names[1]} of the authority's Secret cannot be used ({error!r}): "
            "remove both keys from it, and a new authority is made"
        ) from None
    # Pods are told this: no text or key that stands beside the certificates.
    return KeyPair(key=key, certificate=b"".join(one.public_bytes(Encoding.PEM) for one in found))


def _check(key: bytes, certificate: x509.Certificate) -> None:
    """All that `issue` needs; and no client trusts what says that it signs no certificates."""
    if certificate.public_key() != _private(key).public_key():
        raise ValueError("the key is not the certificate's")
    extensions, _ = certificate.extensions, certificate.subject
    extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    if not extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        raise ValueError("the certificate is not an authority's")


def _written(names: tuple[str, str], pair: KeyPair) -> dict[str, str]:
    values = (pair.key, pair.certificate)
    return {
        name: base64.b64encode(value).decode() for name, value in zip(names, values, strict=True)
    }
