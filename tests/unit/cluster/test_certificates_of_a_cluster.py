"""Certificates say who somebody is to Kubernetes, and come from the cluster's own authority."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from cluster.pki import Authority
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_client_is_named_with_its_groups_and_signed(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("n", "system:node:n", groups=("system:nodes",))
    certificate = load(pair.certificate)
    certificate.verify_directly_issued_by(load(authority.certificate))
    subject = certificate.subject
    names = (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
    found = [subject.get_attributes_for_oid(name)[0].value for name in names]
    assert found == ["system:node:n", "system:nodes"]


def test_a_server_is_good_for_its_names_and_addresses(tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("s", "s", hosts=("a.example", "198.18.0.1"))
    extensions = load(pair.certificate).extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["198.18.0.1"]
    usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert ExtendedKeyUsageOID.SERVER_AUTH in usage


def test_an_authority_is_made_once(tmp_path: Path) -> None:
    first = Authority(tmp_path).certificate.read_bytes()
    key = Authority(tmp_path).service_account_key().read_bytes()
    assert Authority(tmp_path).certificate.read_bytes() == first
    assert Authority(tmp_path).service_account_key().read_bytes() == key


def test_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    for path in (authority.issue("n", "n").key, authority.service_account_key()):
        assert path.stat().st_mode & 0o077 == 0


def test_a_kubeconfig_holds_all_that_is_needed(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("n", "n")
    config = json.loads(authority.kubeconfig("https://198.18.0.1:6443", pair, "spot-t"))
    assert config["current-context"] == config["contexts"][0]["name"] == "spot-t"
    assert config["clusters"][0]["cluster"]["server"] == "https://198.18.0.1:6443"
    key = base64.b64decode(config["users"][0]["user"]["client-key-data"])
    assert load_pem_private_key(key, password=None) is not None
